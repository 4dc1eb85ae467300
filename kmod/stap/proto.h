/* SPDX-License-Identifier: GPL-2.0 */
/* The functions of a tapped socket in place of TCP's. */
#ifndef KMOD_STAP_PROTO_H
#define KMOD_STAP_PROTO_H

struct sock;

/* With the socket locked. */
void stap_proto_put_on(struct sock *sk);

int stap_proto_init(void);

#endif /* KMOD_STAP_PROTO_H */
