// SPDX-License-Identifier: GPL-2.0
/* As compat_table_info() and compat_copy_entries_to_user() of ip_tables. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "caller/deltas.h"
#include "caller/narrow.h"
#include "caller/narrow_entry.h"
#include "packet/entry.h"

struct bpfilter_listing {
	const struct bpfilter_narrow_form *form;
	struct bpfilter_deltas *deltas;
	u8 family;
	void *entries;
	u32 size;
	u32 held; /* as in widen.c */
};

/* The helper may say anything; what is in force has these sizes. */
static bool are_sizes_right(const void *bytes, u32 head, u32 end)
{
	const struct xt_entry_target *target = bytes + end;
	const struct xt_entry_match *match;
	u32 offset;

	for (offset = head; offset < end; offset += match->u.match_size) {
		match = bytes + offset;
		if (match->u.match_size !=
		    sizeof(*match) + XT_ALIGN(match->u.kernel.match->matchsize))
			return false;
	}
	return target->u.target_size ==
	       sizeof(*target) + XT_ALIGN(target->u.kernel.target->targetsize);
}

static void release(struct bpfilter_listing *listing)
{
	u32 offset = 0;

	for (; listing->held; listing->held--) {
		void *bytes = listing->entries + offset;

		bpfilter_narrow_release(bytes, listing->form->native_head, listing->family);
		offset += bpfilter_entry_of(bytes, listing->family).next;
		cond_resched();
	}
}

static int look_at(struct bpfilter_listing *listing, u32 offset)
{
	const struct bpfilter_narrow_form *form = listing->form;
	u32 delta = form->native_head - form->head;
	void *bytes = listing->entries + offset;
	int error;

	error = bpfilter_entry_measure(bytes, listing->size - offset, listing->family);
	if (!error)
		error = bpfilter_entry_check(bytes, listing->family);
	if (!error)
		error = bpfilter_narrow_hold(bytes, form->native_head, listing->family, &delta);
	if (error)
		return error;
	listing->held++;
	if (!are_sizes_right(bytes, form->native_head,
			     bpfilter_entry_of(bytes, listing->family).target))
		return -EIO;
	return bpfilter_deltas_add(listing->deltas, offset, delta);
}

static int look(struct bpfilter_listing *listing)
{
	u32 offset = 0;
	int error;

	while (offset < listing->size) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		error = look_at(listing, offset);
		if (error)
			return error;
		offset += bpfilter_entry_of(listing->entries + offset, listing->family).next;
	}
	return 0;
}

/* What no hook has is far behind all entries. */
static void narrow_hooks(const struct bpfilter_deltas *deltas, u32 *offset)
{
	u32 i;

	for (i = 0; i < NF_INET_NUMHOOKS; i++)
		offset[i] -= bpfilter_deltas_before(deltas, offset[i]);
}

struct bpfilter_listing *bpfilter_narrow(void *entries, u32 size, u8 family,
					 struct ipt_getinfo *info)
{
	struct bpfilter_listing *listing;
	int error = -ENOMEM;

	listing = kzalloc(sizeof(*listing), GFP_KERNEL_ACCOUNT);
	if (!listing)
		return ERR_PTR(error);
	listing->form = bpfilter_narrow_form(family);
	listing->family = family;
	listing->entries = entries;
	listing->size = size;
	listing->deltas = bpfilter_deltas_new(size / listing->form->native_head + 1);
	if (listing->deltas)
		error = look(listing);
	if (error) {
		bpfilter_narrow_end(listing);
		return ERR_PTR(error);
	}
	narrow_hooks(listing->deltas, info->hook_entry);
	narrow_hooks(listing->deltas, info->underflow);
	info->size = size - bpfilter_deltas_sum(listing->deltas);
	return listing;
}

void bpfilter_narrow_end(struct bpfilter_listing *listing)
{
	release(listing);
	bpfilter_deltas_free(listing->deltas);
	kfree(listing);
}

/* A jump leads to what is at another place there. */
static int copy_target(const struct bpfilter_listing *listing,
		       const struct xt_entry_target *target, void __user **to, u32 *size)
{
	void __user *const begin = *to;
	u32 verdict;
	int error;

	error = xt_compat_target_to_user(target, to, size);
	if (error || !bpfilter_is_standard(target->u.kernel.target))
		return error;
	/* Others may have no bytes of their own, and be the last that there is. */
	verdict = *(const u32 *)target->data;
	if ((s32)verdict <= 0)
		return 0;
	verdict -= bpfilter_deltas_before(listing->deltas, verdict);
	if (copy_to_user(begin + sizeof(*target), &verdict, sizeof(verdict)))
		return -EFAULT;
	return 0;
}

static int copy_head(const struct bpfilter_listing *listing, const void *bytes, void __user *to,
		     u16 target, u16 next)
{
	const struct bpfilter_narrow_form *form = listing->form;
	u8 head[sizeof(struct compat_ip6t_entry)];

	memcpy(head, bytes, form->counters);
	memcpy(head + form->counters, bytes + form->native_counters, sizeof(struct xt_counters));
	bpfilter_entry_set_offsets(head, listing->family, target, next);
	return copy_to_user(to, head, form->head) ? -EFAULT : 0;
}

/* Moves `to` behind it. */
static int copy_entry(const struct bpfilter_listing *listing, const void *bytes, void __user **to)
{
	const struct bpfilter_entry entry = bpfilter_entry_of(bytes, listing->family);
	void __user *const begin = *to;
	const struct xt_entry_match *match;
	u32 size = entry.next, offset, target;
	int error;

	*to += listing->form->head;
	size -= listing->form->native_head - listing->form->head;
	for (offset = listing->form->native_head; offset < entry.target;
	     offset += match->u.match_size) {
		match = bytes + offset;
		error = xt_compat_match_to_user(match, to, &size);
		if (error)
			return error;
	}
	target = *to - begin;
	error = copy_target(listing, bytes + entry.target, to, &size);
	if (error)
		return error;
	return copy_head(listing, bytes, begin, target, size);
}

int bpfilter_narrow_copy(struct bpfilter_listing *listing, void __user *to)
{
	u32 offset = 0;
	int error;

	while (offset < listing->size) {
		const void *bytes = listing->entries + offset;

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		error = copy_entry(listing, bytes, &to);
		if (error)
			return error;
		offset += bpfilter_entry_of(bytes, listing->family).next;
	}
	return 0;
}
