/* SPDX-License-Identifier: GPL-2.0 */
/* The two layouts of an entry, and how much of it the kernel's own matches and targets are. */
#ifndef KMOD_CALLER_NARROW_ENTRY_H
#define KMOD_CALLER_NARROW_ENTRY_H

#include <linux/netfilter/x_tables.h>
#include <linux/types.h>

/* Where in an entry there is what. Up to their counters the two are the same. */
struct bpfilter_narrow_form {
	u32 counters;
	u32 head;
	u32 native_counters;
	u32 native_head;
};

const struct bpfilter_narrow_form *bpfilter_narrow_form(u8 family);

/*
 * The matches and the target of an entry whose offsets were checked and whose first match is `head`
 * bytes behind its begin, of either layout: found, held, and written to where the kernel has them.
 * To `delta` is added how much larger they are natively. Loads modules.
 */
int bpfilter_narrow_hold(void *entry, u32 head, u8 family, u32 *delta);
void bpfilter_narrow_release(void *entry, u32 head, u8 family);

/* Of a payload; `compat` is 0 if there is no other structure for it. */
static inline u32 bpfilter_narrow_size(u32 compat, u32 native)
{
	return COMPAT_XT_ALIGN(compat ?: native);
}

static inline bool bpfilter_is_standard(const struct xt_target *target)
{
	return !target->name[0];
}

#endif /* KMOD_CALLER_NARROW_ENTRY_H */
