/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A caller of setsockopt or getsockopt: how its structures are laid out, what it gives, and how
 * the helper is asked in its name.
 */
#ifndef KMOD_CALLER_CALLER_H
#define KMOD_CALLER_CALLER_H

#include <linux/sockptr.h>
#include <linux/types.h>

struct bpfilter_request;
struct ipt_replace;

/* What differs in the layouts of 64-bit and 32-bit callers. */
struct bpfilter_layout {
	u32 replace;
	u32 get_entries;
	u32 counters_info;
};

/* Of the one we run for. */
const struct bpfilter_layout *bpfilter_caller_layout(void);
/* Where it wants the counters of the table that it replaces. */
void __user *bpfilter_caller_counters(const struct ipt_replace *replace);
/*
 * The payload is `head`, which was copied and checked, `head_length` bytes of it; and what follows
 * behind the first `from_length` of the `length` bytes that the caller gave.
 */
int bpfilter_caller_copy(struct bpfilter_request *request, sockptr_t from, u32 from_length,
			 u32 length, const void *head, u32 head_length);
/*
 * Asks the helper. What becomes of a table by that is recorded in the name of the caller, as
 * x_tables does; one that it has not got yet is made on the way.
 */
int bpfilter_caller_perform(struct bpfilter_request *request, const char *table, u32 old_entries);

#endif /* KMOD_CALLER_CALLER_H */
