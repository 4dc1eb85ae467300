// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "caller/deltas.h"

struct bpfilter_deltas {
	u32 room;
	u32 count;
	struct {
		u32 offset;
		u32 sum; /* with this one */
	} entry[];
};

struct bpfilter_deltas *bpfilter_deltas_new(u32 room)
{
	struct bpfilter_deltas *deltas;

	deltas = kvmalloc(struct_size(deltas, entry, room), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!deltas)
		return NULL;
	deltas->room = room;
	deltas->count = 0;
	return deltas;
}

void bpfilter_deltas_free(struct bpfilter_deltas *deltas)
{
	kvfree(deltas);
}

int bpfilter_deltas_add(struct bpfilter_deltas *deltas, u32 offset, u32 delta)
{
	const u32 sum = bpfilter_deltas_sum(deltas);

	if (deltas->count == deltas->room)
		return -EINVAL;
	deltas->entry[deltas->count].offset = offset;
	deltas->entry[deltas->count].sum = sum + delta;
	deltas->count++;
	return 0;
}

u32 bpfilter_deltas_count(const struct bpfilter_deltas *deltas)
{
	return deltas->count;
}

u32 bpfilter_deltas_sum(const struct bpfilter_deltas *deltas)
{
	return deltas->count ? deltas->entry[deltas->count - 1].sum : 0;
}

u32 bpfilter_deltas_before(const struct bpfilter_deltas *deltas, u32 offset)
{
	u32 low = 0, high = deltas->count;

	while (low < high) {
		const u32 middle = low + (high - low) / 2;

		if (deltas->entry[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? deltas->entry[low - 1].sum : 0;
}
