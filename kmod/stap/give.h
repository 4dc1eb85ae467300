/* SPDX-License-Identifier: GPL-2.0 */
/* Judged bytes to TCP, as they lie in their pages. */
#ifndef KMOD_STAP_GIVE_H
#define KMOD_STAP_GIVE_H

#include <linux/types.h>

struct bio_vec;
struct msghdr;
struct sock;

/*
 * The first `size` bytes of `count` pieces that came from sk_page_frag(). With the socket locked;
 * flags are those of sendmsg(), control has what else is to be said. How many TCP took, or an
 * errno; EIO: TCP took bytes that nobody has judged, so this connection must end.
 */
int stap_give(struct sock *sk, const struct bio_vec *piece, u32 count, u32 size, int flags,
	      const struct msghdr *control);

#endif /* KMOD_STAP_GIVE_H */
