/* SPDX-License-Identifier: GPL-2.0 */
/* The functions of a tapped socket in place of TCP's, and TCP's. */
#ifndef KMOD_STAP_PROTO_H
#define KMOD_STAP_PROTO_H

#include <net/tcp.h>
#include <net/transp_v6.h>

/* TCP's, whatever the socket has. */
static inline struct proto *stap_base(const struct sock *sk)
{
	return sk->sk_family == AF_INET6 ? &tcpv6_prot : &tcp_prot;
}

const struct proto_ops *stap_base_ops(const struct sock *sk);
void (*stap_base_data_ready(void))(struct sock *sk);

/* Whether this is TCP as it came from socket() or will come from accept(). */
bool stap_is_plain(const struct sock *sk);

/* With the socket locked. */
void stap_proto_put_on(struct sock *sk);
/*
 * Before anybody has accepted it. TCP releases its lock when it has become somebody's, and before
 * he knows: then it gets our functions for the system call, whichever accept() gave it others.
 */
void stap_proto_put_on_newborn(struct sock *sk);
/* The end of a socket, for the system call's part of it and for the protocol's. */
void stap_proto_take_off(struct sock *sk);

int stap_proto_init(void);

#endif /* KMOD_STAP_PROTO_H */
