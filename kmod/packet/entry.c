// SPDX-License-Identifier: GPL-2.0
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <bpfilter/pipe.h>

#include "packet/entry.h"
#include "packet/quirk.h"

static_assert(__alignof__(struct ipt_entry) <= 8 && __alignof__(struct ip6t_entry) <= 8);

static struct bpfilter_entry entry_of_ipv4(const struct ipt_entry *entry)
{
	return (struct bpfilter_entry){
		.head = sizeof(*entry),
		.target = entry->target_offset,
		.next = entry->next_offset,
		.protocol = entry->ip.proto,
		.is_inverted = entry->ip.invflags & IPT_INV_PROTO,
	};
}

static struct bpfilter_entry entry_of_ipv6(const struct ip6t_entry *entry)
{
	return (struct bpfilter_entry){
		.head = sizeof(*entry),
		.target = entry->target_offset,
		.next = entry->next_offset,
		.protocol = entry->ipv6.proto,
		.is_inverted = entry->ipv6.invflags & IP6T_INV_PROTO,
		.needs_transport = entry->ipv6.flags & IP6T_F_PROTO,
	};
}

struct bpfilter_entry bpfilter_entry_of(const void *bytes, u8 family)
{
	return family == NFPROTO_IPV4 ? entry_of_ipv4(bytes) : entry_of_ipv6(bytes);
}

int bpfilter_entry_measure(const void *bytes, u32 room, u8 family)
{
	const u32 head = family == NFPROTO_IPV4 ? sizeof(struct ipt_entry) :
						  sizeof(struct ip6t_entry);
	u32 next;

	if (room < head + sizeof(struct xt_entry_target))
		return -EINVAL;
	next = bpfilter_entry_of(bytes, family).next;
	return next < head + sizeof(struct xt_entry_target) || next > room ? -EINVAL : 0;
}

int bpfilter_entry_check(const void *bytes, u8 family)
{
	const struct bpfilter_entry entry = bpfilter_entry_of(bytes, family);

	return xt_check_entry_offsets(bytes, bytes + entry.head, entry.target, entry.next);
}

u32 bpfilter_entry_count(const void *bytes, u8 family)
{
	const struct bpfilter_entry entry = bpfilter_entry_of(bytes, family);
	const struct xt_entry_match *match;
	u32 offset, count = 1;

	for (offset = entry.head; offset < entry.target; offset += match->u.match_size) {
		match = bytes + offset;
		count++;
	}
	return count;
}

static void prepare_ipv4(struct ipt_entry *entry, u32 hooks)
{
	entry->comefrom = hooks;
	entry->counters = (struct xt_counters){};
}

static void prepare_ipv6(struct ip6t_entry *entry, u32 hooks)
{
	entry->comefrom = hooks;
	entry->counters = (struct xt_counters){};
	if (entry->ipv6.proto && !(bpfilter_lax & BPFILTER_LAX_PROTOCOL))
		entry->ipv6.flags |= IP6T_F_PROTO;
}

void bpfilter_entry_prepare(void *bytes, u8 family, u32 hooks)
{
	if (family == NFPROTO_IPV4)
		prepare_ipv4(bytes, hooks);
	else
		prepare_ipv6(bytes, hooks);
}

void bpfilter_entry_set_offsets(void *bytes, u8 family, u16 target, u16 next)
{
	struct ip6t_entry *ipv6 = bytes;
	struct ipt_entry *ipv4 = bytes;

	if (family == NFPROTO_IPV4) {
		ipv4->target_offset = target;
		ipv4->next_offset = next;
	} else {
		ipv6->target_offset = target;
		ipv6->next_offset = next;
	}
}
