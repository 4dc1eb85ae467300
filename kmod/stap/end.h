/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of a connection that has failed: brought without the socket's lock, which tcp_abort()
 * takes, by a work or by whoever uses the socket first.
 */
#ifndef KMOD_STAP_END_H
#define KMOD_STAP_END_H

#include <linux/types.h>

struct sock;
struct stap;

/* With the socket locked. From now on nothing passes; the connection ends soon. */
void stap_fail(struct stap *tap, int error);
/* By who uses the socket: if it has failed, see to its end, which tap->abort brings. */
void stap_end(struct stap *tap);
/*
 * The same, and it has ended. What tap->abort does for others may wait for who has locked their
 * sockets, and this one must not wait for that. Without the lock.
 */
void stap_end_now(struct stap *tap);
/* The same for who must not wait, unless somebody has it locked, who tells when he is through. */
bool stap_end_unless_locked(struct stap *tap);
/* With the spinlock of the lock, by who has had that. */
void stap_end_again(struct stap *tap);

/* Whoever waits on the socket looks again; those that poll if they care for one of these. */
void stap_tell(struct sock *sk, __poll_t what);

/* A new tap's. */
void stap_end_prepare(struct stap *tap);

int stap_end_init(void);
void stap_end_exit(void);

#endif /* KMOD_STAP_END_H */
