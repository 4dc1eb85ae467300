/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stretch of what is sent: the bytes that are pending, or a few that are not and need no page
 * yet. It is judged, as far as it has whole messages; those that pass go to TCP at once, each as a
 * whole. With the socket locked, all the time.
 */
#ifndef KMOD_STAP_STRETCH_H
#define KMOD_STAP_STRETCH_H

#include <linux/types.h>

struct msghdr;
struct stap;

/*
 * flags and control are those of sendmsg(), and go with the last byte. `done` bytes have gone
 * wherever they went; what is left begins a message. 0 or an errno: the connection ends, or has.
 */
int stap_settle(struct stap *tap, const u8 *data, u32 size, int flags,
		const struct msghdr *control, u32 *done);
/* What is left stays pending. */
int stap_settle_pending(struct stap *tap, int flags, const struct msghdr *control);

#endif /* KMOD_STAP_STRETCH_H */
