/* SPDX-License-Identifier: GPL-2.0 */
/* What has come, where it is: in TCP's receive queue. All with the socket locked. */
#ifndef KMOD_STAP_INCOMING_H
#define KMOD_STAP_INCOMING_H

#include <linux/types.h>

struct stap;

void stap_incoming_init(struct stap *tap);
/* Sequence number behind the last byte there is. */
u32 stap_incoming_end(const struct stap *tap);

#endif /* KMOD_STAP_INCOMING_H */
