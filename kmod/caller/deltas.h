/* SPDX-License-Identifier: GPL-2.0 */
/*
 * By how much the offsets of two layouts of one table differ, as xt_compat_add_offset() and
 * xt_compat_calc_jump() have it; but those keep all of it in one place for a whole family.
 */
#ifndef KMOD_CALLER_DELTAS_H
#define KMOD_CALLER_DELTAS_H

#include <linux/types.h>

struct bpfilter_deltas;

/* Room for so many entries; NULL: no memory. */
struct bpfilter_deltas *bpfilter_deltas_new(u32 room);
void bpfilter_deltas_free(struct bpfilter_deltas *deltas);
/* The next entry, at this offset of the layout that one comes from, differs by this. */
int bpfilter_deltas_add(struct bpfilter_deltas *deltas, u32 offset, u32 delta);
u32 bpfilter_deltas_count(const struct bpfilter_deltas *deltas);
/* Of all entries. */
u32 bpfilter_deltas_sum(const struct bpfilter_deltas *deltas);
/* Of all that begin before this offset. */
u32 bpfilter_deltas_before(const struct bpfilter_deltas *deltas, u32 offset);

#endif /* KMOD_CALLER_DELTAS_H */
