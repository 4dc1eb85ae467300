/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A listener's children. Each gets a tap when TCP makes it, in softirq and without the listener's
 * lock; those that are there when the listener is tapped get theirs then. A child is *newborn*
 * (proto.c) until somebody accepts it, in whatever way: then it gets the system call's functions.
 */
#ifndef KMOD_STAP_CHILD_H
#define KMOD_STAP_CHILD_H

#include <linux/gfp_types.h>

struct request_sock;
struct sock;

/* As tcp_ulp_ops has it. */
void stap_child_clone(const struct request_sock *request, struct sock *sk, const gfp_t gfp);

/*
 * Those that nobody has accepted yet. With the listener locked, after a grace period in which what
 * it has for its children could be seen: so there is none besides them that knows nothing of it.
 */
void stap_child_adopt_all(struct sock *listener);

/* One that came to a tapped listener from one that is not: 0, or an errno; it cannot be used. */
int stap_child_adopt_accepted(struct sock *listener, struct sock *sk);

#endif /* KMOD_STAP_CHILD_H */
