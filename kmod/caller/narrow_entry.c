// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/module.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "caller/narrow_entry.h"
#include "packet/entry.h"

static const struct bpfilter_narrow_form ipv4 = {
	.counters = offsetof(struct compat_ipt_entry, counters),
	.head = sizeof(struct compat_ipt_entry),
	.native_counters = offsetof(struct ipt_entry, counters),
	.native_head = sizeof(struct ipt_entry),
};

static const struct bpfilter_narrow_form ipv6 = {
	.counters = offsetof(struct compat_ip6t_entry, counters),
	.head = sizeof(struct compat_ip6t_entry),
	.native_counters = offsetof(struct ip6t_entry, counters),
	.native_head = sizeof(struct ip6t_entry),
};

static_assert(offsetof(struct compat_ipt_entry, next_offset) ==
	      offsetof(struct ipt_entry, next_offset));
static_assert(offsetof(struct compat_ip6t_entry, next_offset) ==
	      offsetof(struct ip6t_entry, next_offset));

const struct bpfilter_narrow_form *bpfilter_narrow_form(u8 family)
{
	return family == NFPROTO_IPV4 ? &ipv4 : &ipv6;
}

/* No extension of the kernel's is smaller natively; one that says so is refused. */
static int add(u32 *delta, int offset)
{
	if (offset < 0)
		return -EINVAL;
	*delta += offset;
	return 0;
}

static int hold_match(struct xt_entry_match *entry, u8 family, u32 *delta)
{
	struct xt_match *match;
	int error;

	match = xt_request_find_match(family, entry->u.user.name, entry->u.user.revision);
	if (IS_ERR(match))
		return PTR_ERR(match);
	error = add(delta, xt_compat_match_offset(match));
	if (error)
		module_put(match->me);
	else
		entry->u.kernel.match = match;
	return error;
}

static int hold_target(struct xt_entry_target *entry, u8 family, u32 *delta)
{
	struct xt_target *target;
	int error;

	target = xt_request_find_target(family, entry->u.user.name, entry->u.user.revision);
	if (IS_ERR(target))
		return PTR_ERR(target);
	error = add(delta, xt_compat_target_offset(target));
	if (error)
		module_put(target->me);
	else
		entry->u.kernel.target = target;
	return error;
}

static void release_matches(void *bytes, u32 head, u32 end)
{
	struct xt_entry_match *match;
	u32 offset;

	for (offset = head; offset < end; offset += match->u.match_size) {
		match = bytes + offset;
		module_put(match->u.kernel.match->me);
	}
}

int bpfilter_narrow_hold(void *bytes, u32 head, u8 family, u32 *delta)
{
	const u32 target = bpfilter_entry_of(bytes, family).target;
	struct xt_entry_match *match;
	int error;
	u32 offset;

	for (offset = head; offset < target; offset += match->u.match_size) {
		match = bytes + offset;
		error = hold_match(match, family, delta);
		if (error)
			goto err_hold;
	}
	error = hold_target(bytes + target, family, delta);
	if (error)
		goto err_hold;
	return 0;

err_hold:
	release_matches(bytes, head, offset);
	return error;
}

void bpfilter_narrow_release(void *bytes, u32 head, u8 family)
{
	const u32 offset = bpfilter_entry_of(bytes, family).target;
	const struct xt_entry_target *target = bytes + offset;

	release_matches(bytes, head, offset);
	module_put(target->u.kernel.target->me);
}
