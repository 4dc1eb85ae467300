/* SPDX-License-Identifier: GPL-2.0 */
/* What is in the headers that have lists: options, and the addresses of routing. */
#ifndef UMH_BPF_OPTIONS6_H
#define UMH_BPF_OPTIONS6_H

#include "umh/bpf/walk6.h"

enum { options_max = 16 };

/* The list that is being read. */
enum {
	list_at = walk_offset, /* of the next option; the end of the walk is not needed any more */
	list_left = walk_next, /* how many bytes of the header there are from there on */
	list_count = walk_set, /* of options so far */
	list_field = walk_set + 4, /* of the next option, from the first one's on */
};

_Static_assert(list_field + 4 <= ipv6, "the list does not fit");

/* One option. What is longer than the header is the last one. */
FUNCTION long bf_option(u64 i, struct walker *walker)
{
	struct __sk_buff *skb = walker->skb;
	u8 *e = walker->e;
	u32 left = WORD(e, list_left), at = WORD(e, list_at), n = WORD(e, list_count);
	u32 type, length = 0, size = 1;
	u32 field = WORD(e, list_field) & 255;
	int error;

	if (!left || n >= options_max)
		return stop;
	if (left == 1)
		error = LOAD(skb, at, e, element_scratch, 1);
	else
		error = LOAD(skb, at, e, element_scratch, 2);
	if (error)
		return stop;
	type = BYTE(e, element_scratch);
	if (type) {
		if (left < 2)
			return stop;
		length = BYTE(e, element_scratch + 1);
		size = length + 2;
	}
	WORD(e + field, key_hop_option_0) = type << 8 | length;
	WORD(e, list_field) = field + 4;
	WORD(e, list_count) = n + 1;
	if (left < size)
		return stop;
	WORD(e, list_left) = left - size;
	WORD(e, list_at) = at + size;
	return go_on;
}

/* Of the header at `at` with this length, to the fields from `field` on. How many there are. */
INLINE u32 list_options(struct __sk_buff *skb, u8 *e, u32 at, u32 length, u32 field)
{
	struct walker walker = { skb, e };

	WORD(e, list_at) = at + 2;
	WORD(e, list_left) = length - 2;
	WORD(e, list_count) = 0;
	WORD(e, list_field) = field - key_hop_option_0;
	bpf_loop(options_max, bf_option, &walker, 0);
	return WORD(e, list_count);
}

INLINE void parse_hop(struct __sk_buff *skb, u8 *e)
{
	u32 length, n = 0;
	int i;

	if (NEEDS(hop_options))
		for (i = 0; i < options_max; i += 2)
			DOUBLE(e, key_hop_option_0 + 4 * i) = 0;
	if (set_header(e, hop, key_hop, find_header(skb, e, hop, 2, &length)) && NEEDS(hop_options))
		n = list_options(skb, e, WORD(e, walk_place + 4 * hop), length, key_hop_option_0);
	WORD(e, key_hop_length) = length;
	if (NEEDS(hop_options))
		WORD(e, key_hop_options) = n;
}

INLINE void parse_dst(struct __sk_buff *skb, u8 *e)
{
	u32 length, n = 0;
	int i;

	if (NEEDS(dst_options))
		for (i = 0; i < options_max; i += 2)
			DOUBLE(e, key_dst_option_0 + 4 * i) = 0;
	if (set_header(e, dst, key_dst, find_header(skb, e, dst, 2, &length)) && NEEDS(dst_options))
		n = list_options(skb, e, WORD(e, walk_place + 4 * dst), length, key_dst_option_0);
	WORD(e, key_dst_length) = length;
	if (NEEDS(dst_options))
		WORD(e, key_dst_options) = n;
}

enum { routing_fixed = 8, route_max = 127 };

/* Eight bytes of the addresses become two words of the key. */
FUNCTION long bf_route(u64 i, struct walker *walker)
{
	u8 *e = walker->e;
	u64 both;

	if (i >= route_max * 2)
		return stop;
	e += i * 8;
	both = __builtin_bswap64(DOUBLE(e, key_list));
	DOUBLE(e, key_list) = both << 32 | both >> 32;
	return go_on;
}

/* The addresses of the routing header at `at`: how many. */
INLINE int list_route(struct __sk_buff *skb, u8 *e, u32 at, u32 length)
{
	struct walker walker = { skb, e };
	u64 size = (length - routing_fixed) & 0x7f0;

	LAUNDER(size);
	WITHIN(size, 16, route_max * 16, none);
	if (LOAD(skb, at + routing_fixed, e, key_list, size))
		return 0;
	bpf_loop(size >> 3, bf_route, &walker, 0);
	return size >> 4;
none:
	return 0;
}

INLINE void parse_routing(struct __sk_buff *skb, u8 *e)
{
	u32 length, type = 0, left = 0, reserved = 0, n = 0;

	if (set_header(e, routing, key_routing, find_header(skb, e, routing, 8, &length))) {
		type = BYTE(e, element_scratch + 2);
		left = BYTE(e, element_scratch + 3);
		reserved = WORD_BE(e, element_scratch + 4);
		if (NEEDS(route))
			n = list_route(skb, e, WORD(e, walk_place + 4 * routing), length);
	}
	WORD(e, key_routing_length) = length;
	WORD(e, key_routing_type) = type;
	WORD(e, key_routing_left) = left;
	WORD(e, key_routing_reserved) = reserved;
	if (NEEDS(route))
		WORD(e, key_routing_addresses) = n;
}

#endif /* UMH_BPF_OPTIONS6_H */
