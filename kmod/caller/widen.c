// SPDX-License-Identifier: GPL-2.0
/* As translate_compat_table() of ip_tables, and what it calls. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "caller/deltas.h"
#include "caller/narrow.h"
#include "caller/narrow_entry.h"
#include "packet/entry.h"
#include "request/request.h"

/* struct compat_ipt_replace, which no header has. */
#define NARROW_REPLACE \
	ALIGN(offsetof(struct ipt_replace, counters) + sizeof(compat_uptr_t), \
	      __alignof__(compat_u64))

/* What is being made. Offsets are from the first entry on. */
struct widening {
	const struct bpfilter_narrow_form *form;
	struct bpfilter_deltas *deltas;
	u8 family;
	void *from;
	u32 size;
	u32 held; /* so many entries have their matches' modules and their target's */
	void *to;
	u32 to_size;
	u32 at; /* what is written next */
	struct ipt_replace *replace; /* the new one */
};

static bool is_known_to_ip_tables(const void *bytes, u8 family)
{
	const struct ip6t_ip6 *ipv6 = bytes;
	const struct ipt_ip *ipv4 = bytes;

	if (family == NFPROTO_IPV4)
		return !(ipv4->flags & ~IPT_F_MASK) && !(ipv4->invflags & ~IPT_INV_MASK);
	return !(ipv6->flags & ~IP6T_F_MASK) && !(ipv6->invflags & ~IP6T_INV_MASK);
}

/* All that is checked of an entry before its extensions are looked for. */
static int check_entry(const struct widening *widening, u32 offset)
{
	const struct bpfilter_narrow_form *form = widening->form;
	const void *bytes = widening->from + offset;
	struct bpfilter_entry entry;

	if (offset % __alignof__(compat_u64) || widening->size - offset <= form->head)
		return -EINVAL;
	entry = bpfilter_entry_of(bytes, widening->family);
	if (entry.next > widening->size - offset ||
	    entry.next < form->head + sizeof(struct compat_xt_entry_target) ||
	    !is_known_to_ip_tables(bytes, widening->family))
		return -EINVAL;
	return xt_compat_check_entry_offsets(bytes, bytes + form->head, entry.target, entry.next);
}

/* Their kernel's own are found, and held, as long as they stand where the names were. */
static int survey_entry(struct widening *widening, u32 offset)
{
	u32 delta = widening->form->native_head - widening->form->head;
	void *bytes = widening->from + offset;
	int error;

	error = check_entry(widening, offset);
	if (error)
		return error;
	error = bpfilter_narrow_hold(bytes, widening->form->head, widening->family, &delta);
	if (error)
		return error;
	error = bpfilter_deltas_add(widening->deltas, offset, delta);
	if (error)
		bpfilter_narrow_release(bytes, widening->form->head, widening->family);
	else
		widening->held++;
	return error;
}

static int survey(struct widening *widening, u32 expected)
{
	u32 offset = 0;
	int error;

	while (offset < widening->size) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		error = survey_entry(widening, offset);
		if (error)
			return error;
		offset += bpfilter_entry_of(widening->from + offset, widening->family).next;
	}
	return bpfilter_deltas_count(widening->deltas) == expected ? 0 : -EINVAL;
}

/* Those whose names are back are nobody's any more. */
static void release(struct widening *widening)
{
	u32 offset = 0;

	for (; widening->held; widening->held--) {
		void *bytes = widening->from + offset;

		bpfilter_narrow_release(bytes, widening->form->head, widening->family);
		offset += bpfilter_entry_of(bytes, widening->family).next;
		cond_resched();
	}
}

/* Room for an extension of this size; NULL: there is none, as the entry is none that could be. */
static void *extend(struct widening *widening, u32 size)
{
	void *to = widening->to + widening->at;

	if (size > U16_MAX || size > widening->to_size - widening->at)
		return NULL;
	widening->at += size;
	return to;
}

static int widen_match(struct widening *widening, const struct xt_entry_match *narrow)
{
	const struct xt_match *match = narrow->u.kernel.match;
	const u32 payload = narrow->u.match_size - sizeof(*narrow);
	const u32 size = narrow->u.match_size + xt_compat_match_offset(match);
	struct xt_entry_match *wide = extend(widening, size);

	if (!wide)
		return -EINVAL;
	wide->u.user.match_size = size;
	strscpy_pad(wide->u.user.name, match->name, sizeof(wide->u.user.name));
	wide->u.user.revision = narrow->u.user.revision;
	/* What is not of its size will not be checked by it. */
	if (match->compat_from_user &&
	    payload == bpfilter_narrow_size(match->compatsize, match->matchsize))
		match->compat_from_user(wide->data, narrow->data);
	else
		memcpy(wide->data, narrow->data, min_t(u32, payload, size - sizeof(*wide)));
	return 0;
}

static void widen_verdict(const struct widening *widening, struct xt_entry_target *wide,
			  const struct xt_entry_target *narrow)
{
	u32 verdict = *(const u32 *)narrow->data;

	if ((s32)verdict > 0)
		verdict += bpfilter_deltas_before(widening->deltas, verdict);
	memcpy(wide->data, &verdict, sizeof(verdict));
}

static int widen_target(struct widening *widening, const struct xt_entry_target *narrow)
{
	const struct xt_target *target = narrow->u.kernel.target;
	const u32 payload = narrow->u.target_size - sizeof(*narrow);
	const u32 size = narrow->u.target_size + xt_compat_target_offset(target);
	struct xt_entry_target *wide = extend(widening, size);

	if (!wide)
		return -EINVAL;
	wide->u.user.target_size = size;
	strscpy_pad(wide->u.user.name, target->name, sizeof(wide->u.user.name));
	wide->u.user.revision = narrow->u.user.revision;
	if (bpfilter_is_standard(target))
		widen_verdict(widening, wide, narrow);
	else if (target->compat_from_user &&
		 payload == bpfilter_narrow_size(target->compatsize, target->targetsize))
		target->compat_from_user(wide->data, narrow->data);
	else
		memcpy(wide->data, narrow->data, min_t(u32, payload, size - sizeof(*wide)));
	return 0;
}

/* What stands behind the entry that begins there is so much further now. */
static void move_hooks(u32 *offset, u32 begin, u32 delta)
{
	u32 i;

	for (i = 0; i < NF_INET_NUMHOOKS; i++)
		if (begin < offset[i])
			offset[i] += delta;
}

static int widen_entry(struct widening *widening, const void *narrow)
{
	const struct bpfilter_narrow_form *form = widening->form;
	const struct bpfilter_entry entry = bpfilter_entry_of(narrow, widening->family);
	const u32 begin = widening->at;
	void *wide = extend(widening, form->native_head);
	const struct xt_entry_target *last = narrow + entry.target;
	const struct xt_entry_match *match;
	u32 offset, target, delta;
	int error;

	if (!wide)
		return -EINVAL;
	/* With what lies there in the room between the two. */
	memcpy(wide, narrow, form->native_counters);
	memcpy(wide + form->native_counters, narrow + form->counters, sizeof(struct xt_counters));
	for (offset = form->head; offset < entry.target; offset += match->u.match_size) {
		match = narrow + offset;
		error = widen_match(widening, match);
		if (error)
			return error;
	}
	target = widening->at - begin;
	error = widen_target(widening, last);
	if (error)
		return error;
	/* Without what may stand behind the target: who comes to the next one is lost then. */
	delta = widening->at - begin - entry.target - last->u.target_size;
	if (entry.next + delta > U16_MAX)
		return -EINVAL;
	bpfilter_entry_set_offsets(wide, widening->family, target, entry.next + delta);
	move_hooks(widening->replace->hook_entry, begin, delta);
	move_hooks(widening->replace->underflow, begin, delta);
	return 0;
}

static int widen_all(struct widening *widening)
{
	u32 offset = 0;
	int error;

	while (offset < widening->size) {
		const void *narrow = widening->from + offset;

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		error = widen_entry(widening, narrow);
		if (error)
			return error;
		offset += bpfilter_entry_of(narrow, widening->family).next;
	}
	return 0;
}

static int make(struct widening *widening, const struct ipt_replace *given)
{
	const u64 size = (u64)widening->size + bpfilter_deltas_sum(widening->deltas);

	if (size >= BPFILTER_PAYLOAD_MAX - sizeof(*given))
		return -ENOMEM;
	widening->replace = kvzalloc(sizeof(*given) + size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!widening->replace)
		return -ENOMEM;
	memcpy(widening->replace, given, NARROW_REPLACE);
	/* The address is the caller's, who has kept it. */
	widening->replace->counters = NULL;
	widening->replace->size = size;
	widening->to = widening->replace + 1;
	widening->to_size = size;
	return widen_all(widening);
}

/* As many as there can be at the most; more than there are is an error in any case. */
static int new_deltas(struct widening *widening, u32 expected)
{
	const u32 least = widening->form->head + sizeof(struct compat_xt_entry_target);

	if (!expected || expected > INT_MAX / 8)
		return -EINVAL;
	if (expected > BPFILTER_PAYLOAD_MAX / 8)
		return -ENOMEM;
	widening->deltas = bpfilter_deltas_new(min(expected, widening->size / least + 1));
	return widening->deltas ? 0 : -ENOMEM;
}

int bpfilter_widen(struct bpfilter_request *request)
{
	const struct ipt_replace *given = request->body;
	struct widening widening = {
		.form = bpfilter_narrow_form(request->header.family),
		.family = request->header.family,
		.from = request->body + NARROW_REPLACE,
		.size = request->body_length - NARROW_REPLACE,
	};
	int error;

	error = new_deltas(&widening, given->num_entries);
	if (error)
		return error;
	error = survey(&widening, given->num_entries);
	if (!error)
		error = make(&widening, given);
	release(&widening);
	bpfilter_deltas_free(widening.deltas);
	if (error) {
		kvfree(widening.replace);
		return error;
	}
	kvfree(request->body);
	request->body = widening.replace;
	request->body_length = sizeof(*widening.replace) + widening.to_size;
	return 0;
}
