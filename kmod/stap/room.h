/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Room for the rest of a message. Who waits for it has read all that he may, so TCP would at last
 * close its window and the rest never come.
 */
#ifndef KMOD_STAP_ROOM_H
#define KMOD_STAP_ROOM_H

#include <linux/types.h>

struct stap;

/*
 * Whether it lacks room, if all before the message has been read. Without the lock: what
 * comes in later asks again.
 */
bool stap_room_is_short(const struct stap *tap);
/* Sees to it. With the socket locked. */
void stap_room_make(struct stap *tap);

#endif /* KMOD_STAP_ROOM_H */
