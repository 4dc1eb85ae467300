/* SPDX-License-Identifier: GPL-2.0 */
/*
 * TCP's functions, and the changes from and to them that need none of ours (proto.c) but a
 * newborn's, which are there by then.
 */
#ifndef KMOD_STAP_BASE_H
#define KMOD_STAP_BASE_H

#include <net/tcp.h>
#include <net/transp_v6.h>

enum { STAP_V4, STAP_V6, STAP_FAMILIES };

/* TCP's, whatever the socket has. */
static inline struct proto *stap_base(const struct sock *sk)
{
	return sk->sk_family == AF_INET6 ? &tcpv6_prot : &tcp_prot;
}

int stap_family_of(const struct sock *sk);
const struct proto_ops *stap_base_ops(const struct sock *sk);
/* Known from now on, of this family: those of a plain socket. */
void stap_base_set_ops(int family, const struct proto_ops *ops);
void (*stap_base_data_ready(void))(struct sock *sk);

/* Whether this is TCP as it came from socket() or will come from accept(). */
bool stap_is_plain(const struct sock *sk);

/* What a child has until somebody has accepted it; proto.c fills it in. */
extern struct proto stap_newborn[STAP_FAMILIES];

/* With the socket locked. What comes in moves the gate. */
void stap_base_use_gate(struct sock *sk);
/*
 * Before anybody has accepted it. TCP releases its lock when it has become somebody's, and before
 * he knows: then it gets our functions for the system call, whichever accept() gave it others.
 */
void stap_base_put_on_newborn(struct sock *sk);
/* The end of a socket, for the system call's part of it and for the protocol's. */
void stap_base_put_back(struct sock *sk);

int stap_base_init(void);

#endif /* KMOD_STAP_BASE_H */
