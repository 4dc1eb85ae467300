/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_STAP_CALLERS_H
#define KMOD_STAP_CALLERS_H

struct sock;

/*
 * Whether somebody is in a function of TCP's, whose call would go on without the tap: -EBUSY if he
 * waits for something to happen, for how long nobody knows; -EAGAIN if he only waits for the
 * socket's lock, which the caller has. Else 0.
 */
int stap_callers(struct sock *sk);

#endif /* KMOD_STAP_CALLERS_H */
