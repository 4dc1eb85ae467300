/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The application writes: a copy, judged message by message, whose pages go to TCP. A message
 * that has passed is given to TCP as a whole, however full its buffer is by then; who is to wait
 * for room waits before more is accepted. What is pending is not judged yet, and is the tap's, not
 * the sender's: he may sleep, end or be interrupted, and the next one goes on; but not before he
 * has left.
 */
#ifndef KMOD_STAP_SEND_H
#define KMOD_STAP_SEND_H

#include <linux/socket.h>

struct sock;
struct stap;

int stap_sendmsg(struct sock *sk, struct msghdr *message, size_t size);

/* With the socket locked: whether a message has begun. */
bool stap_send_is_incomplete(const struct stap *tap);
/* Gives back what was not sent. */
void stap_send_forget(struct stap *tap);

#endif /* KMOD_STAP_SEND_H */
