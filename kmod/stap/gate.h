/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What comes in stays in TCP's receive queue, and with it all that is TCP's: memory, window,
 * peeking, timestamps. The gate is a sequence number: what is before it has been judged and may
 * be read. Behind it there is at most one message that is to be dropped, then what nobody has
 * looked at. A message that is dropped is taken out of the queue once all before it has been
 * read, and only then is the next one judged. Whenever the gate moves, whoever waits is told.
 */
#ifndef KMOD_STAP_GATE_H
#define KMOD_STAP_GATE_H

#include <linux/types.h>

struct sock;
struct stap;

int stap_gate_init(void);
void stap_gate_exit(void);
/* Of a new tap. */
void stap_gate_prepare(struct stap *tap);

/*
 * Bytes that may be read. To be asked by who holds tap->reader, or who does not mind that they
 * are gone when it looks.
 */
u32 stap_gate_readable(const struct stap *tap);
/*
 * Whether there are `least` bytes to read, or fewer, but more than `skip`, behind which no more
 * come before they have been read: a dropped message, or there is no room for more.
 */
bool stap_gate_is_ready(const struct stap *tap, u32 skip, u32 least);
/* For poll(). Without the socket's lock. */
bool stap_gate_poll(struct stap *tap);

/*
 * Bytes that one call of TCP may be asked for, behind `skip` that it passes over. TCP reads no
 * other bytes then, whatever happens before it does. By who holds tap->reader, without the lock.
 */
u32 stap_gate_allow(struct stap *tap, u32 skip);
/* Something has been read. Without the lock. */
void stap_gate_was_read(struct stap *tap);

/* Moves the gate as far as it goes, or a turn. With the socket locked. */
void stap_gate_advance(struct stap *tap);
/* If it was left where it could be moved on: that it goes on. With the spinlock of the lock. */
void stap_gate_go_on(struct stap *tap);
/*
 * Without the lock, by who reads: what was left, as long as there is time, but for a turn. Not for
 * who has a signal.
 */
void stap_gate_finish(struct stap *tap, long *timeo);
/* A number that grows with each turn of messages that are judged. */
u64 stap_gate_turns(const struct stap *tap);
/* If TCP may have had no reason to: when it is first looked at, or SO_RCVLOWAT is not reached. */
void stap_gate_look(struct stap *tap);

/* In place of the socket's data_ready. */
void stap_gate_data_ready(struct sock *sk);

#endif /* KMOD_STAP_GATE_H */
