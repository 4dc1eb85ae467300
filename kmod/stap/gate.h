/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What comes in stays in TCP's receive queue, and with it all that is TCP's: memory, window,
 * peeking, timestamps. The gate is a sequence number: what is before it has been judged and may
 * be read. Behind it there is at most one message that is to be dropped, then what nobody has
 * looked at. A message that is dropped is taken out of the queue once all before it has been
 * read, and only then is the next one judged.
 */
#ifndef KMOD_STAP_GATE_H
#define KMOD_STAP_GATE_H

#include <linux/types.h>

struct sock;
struct stap;

void stap_gate_init(struct stap *tap);

/*
 * Bytes that may be read. To be asked by who holds tap->reader, or who does not mind that they
 * are gone when it looks.
 */
u32 stap_gate_readable(const struct stap *tap);

/* Moves the gate as far as it goes; whether there is more to read. With the socket locked. */
bool stap_gate_advance(struct stap *tap);

/* In place of the socket's data_ready. */
void stap_gate_data_ready(struct sock *sk);

#endif /* KMOD_STAP_GATE_H */
