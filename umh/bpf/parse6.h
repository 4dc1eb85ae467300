/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From an IPv6 packet to the key: the walk over the extension headers as umh/core/ir/parse6.h tells
 * it, made once, and what is found on it. There may be as many headers as fit a packet, so what
 * goes from one to the next is the step of a bpf_loop().
 */
#ifndef UMH_BPF_PARSE6_H
#define UMH_BPF_PARSE6_H

#include "umh/bpf/parse.h"

enum {
	ipv6_header = 40,
	ipv6 = element_scratch - ipv6_header,
	loops_max = 1 << 23, /* the kernel's limit */
};

/* In the order of BPFILTER_ODD_HOP and what follows it. */
enum extension { hop, routing, frag, ah, dst, extensions };

enum {
	number_hop = 0,
	number_routing = 43,
	number_frag = 44,
	number_esp = 50,
	number_ah = 51,
	number_dst = 60,
	number_none = protocol_none,
};

/* At element_walk. */
enum {
	walk_offset =
		element_walk, /* of the header that is next, in the end of the transport header */
	walk_next = element_walk + 4,	   /* its number */
	walk_bad = element_walk + 8,	   /* a header is cut off */
	walk_protocol = element_walk + 12, /* of the transport header, or protocol_missing */
	walk_fragment = element_walk + 16, /* it is in another fragment */
	walk_place = element_walk + 20,	   /* of the first header of each kind; 0: there is none */
	walk_set = element_walk + 20 + 4 * extensions,

	protocol_missing = 256,
	set_unknown = 256,
};

_Static_assert(walk_set + 4 <= ipv6, "the walk does not fit");

INLINE int extension_of(u32 number)
{
	switch (number) {
	case number_hop:
		return hop;
	case number_routing:
		return routing;
	case number_frag:
		return frag;
	case number_ah:
		return ah;
	case number_dst:
		return dst;
	default:
		return extensions;
	}
}

/* From the length field: words of 4, 2 not counted, or of 8, 1 not counted. */
INLINE u32 extension_length(int kind, u32 field)
{
	return kind == frag ? 8 : kind == ah ? (field + 2) << 2 : (field + 1) << 3;
}

/* A later fragment: nothing of what follows is here. */
INLINE int end_at_fragment(u8 *e)
{
	u32 next = BYTE(e, element_scratch);

	WORD(e, walk_bad) = 0;
	if (extension_of(next) == extensions) {
		WORD(e, walk_protocol) = next;
		WORD(e, walk_fragment) = 1;
	}
	return stop;
}

INLINE int step_over(u8 *e, int kind, u32 at)
{
	u32 length;

	if (kind == frag && SHORT_BE(e, element_scratch + 2) & 0xfff8)
		return end_at_fragment(e);
	length = extension_length(kind, BYTE(e, element_scratch + 1));
	/* Is all of it there? Some kernels do not mind. */
	if (!(CONTEXT(e, quirks) & BPFILTER_QUIRK_WALK) && WORD(e, key_length) - at < length)
		return stop;
	WORD(e, walk_offset) = at + length;
	WORD(e, walk_next) = BYTE(e, element_scratch);
	return go_on;
}

/* One step of the walk. */
FUNCTION long bf_header(u64 i, struct walker *walker)
{
	struct __sk_buff *skb = walker->skb;
	u8 *e = walker->e;
	u32 next = WORD(e, walk_next), at = WORD(e, walk_offset);
	int kind = extension_of(next), error;

	if (kind == extensions) {
		WORD(e, walk_protocol) = next;
		WORD(e, walk_bad) = 0;
		return stop;
	}
	/* What must be there of any header: two bytes, or four. */
	if (kind == routing || kind == frag)
		error = LOAD(skb, at, e, element_scratch, 4);
	else
		error = LOAD(skb, at, e, element_scratch, 2);
	if (error)
		return stop;
	if (!WORD(e, walk_place + 4 * kind))
		WORD(e, walk_place + 4 * kind) = at;
	return step_over(e, kind, at);
}

/* Without a loop for a packet without extension headers, which is nearly every one. A walk that is
 * not brought to its end leaves the packet bad. */
INLINE void walk_headers(struct __sk_buff *skb, u8 *e, u32 next)
{
	struct walker walker = { skb, e };
	int i;

	WORD(e, walk_offset) = ipv6_header;
	WORD(e, walk_fragment) = 0;
	for (i = 0; i < extensions; i++)
		WORD(e, walk_place + 4 * i) = 0;
	if (extension_of(next) == extensions) {
		WORD(e, walk_protocol) = next;
		WORD(e, walk_bad) = 0;
		return;
	}
	WORD(e, walk_protocol) = protocol_missing;
	WORD(e, walk_bad) = 1;
	WORD(e, walk_next) = next;
	bpf_loop(loops_max, bf_header, &walker, 0);
}

INLINE void set_walk(u8 *e)
{
	u32 protocol = WORD(e, walk_protocol), state = present;

	if (protocol == protocol_missing) {
		protocol = 0;
		state = cut_off;
		WORD(e, element_odd) |= BPFILTER_ODD_TRANSPORT;
	}
	WORD(e, key_protocol) = protocol;
	WORD(e, key_transport) = state;
}

INLINE void parse_transport6(struct __sk_buff *skb, u8 *e)
{
	u32 protocol = WORD(e, key_protocol);

	if (WORD(e, key_transport) != present)
		set_no_transport(e, protocol, cut_off, cut_off);
	else if (WORD(e, walk_fragment))
		set_no_transport(e, protocol, absent, absent);
	else
		parse_transport(skb, e, protocol, WORD(e, walk_offset), ipv6_header);
}

/* The state of a header that is not all there: what this kernel makes of it. */
INLINE u32 beyond_packet(u8 *e, int kind)
{
	u32 quirks = CONTEXT(e, quirks);

	if (kind == ah)
		return quirks & BPFILTER_QUIRK_AUTHENTICATION ? present : cut_off;
	return quirks & BPFILTER_QUIRK_OPTIONS ? absent : cut_off;
}

/* The state of the first header of a kind. If it is present, its first `size` bytes are in the
 * scratch, and its length in *length. */
INLINE u32 find_header(struct __sk_buff *skb, u8 *e, int kind, u32 size, u32 *length)
{
	u32 at = WORD(e, walk_place + 4 * kind), state = present;

	*length = 0;
	if (!at)
		return WORD(e, walk_bad) ? cut_off : absent;
	if (LOAD(skb, at, e, element_scratch, size))
		return kind == routing ? beyond_packet(e, kind) : cut_off;
	*length = extension_length(kind, BYTE(e, element_scratch + 1));
	if (kind != frag && WORD(e, key_length) - at < *length)
		state = beyond_packet(e, kind);
	if (state != present)
		*length = 0;
	return state;
}

INLINE u32 set_header(u8 *e, int kind, u32 key, u32 state)
{
	WORD(e, key) = state;
	if (state == cut_off)
		WORD(e, element_odd) |= BPFILTER_ODD_HOP << kind;
	return state == present;
}

INLINE void parse_frag(struct __sk_buff *skb, u8 *e)
{
	u32 length, id = 0, bits = 0;

	if (set_header(e, frag, key_frag, find_header(skb, e, frag, 8, &length))) {
		id = WORD_BE(e, element_scratch + 4);
		bits = WORD_BE(e, element_scratch) & 0xffffff;
	}
	WORD(e, key_frag_id) = id;
	WORD(e, key_frag_bits) = bits;
}

INLINE void parse_ah(struct __sk_buff *skb, u8 *e)
{
	u32 length, spi = 0, reserved = 0;

	if (set_header(e, ah, key_ah, find_header(skb, e, ah, 12, &length))) {
		spi = WORD_BE(e, element_scratch + 4);
		reserved = SHORT_BE(e, element_scratch + 2);
	}
	WORD(e, key_ah_spi) = spi;
	WORD(e, key_ah_length) = length;
	WORD(e, key_ah_reserved) = reserved;
}

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

/* umh/core/ir/parse6.h, HeaderSet. */
enum {
	set_protocol = 1,
	set_none = 2,
	set_esp = 4,
	set_ah = 8,
	set_frag = 16,
	set_routing = 32,
	set_dst = 64,
	set_hop = 128,
};

INLINE u32 flag_of(int kind)
{
	switch (kind) {
	case hop:
		return set_hop;
	case routing:
		return set_routing;
	case frag:
		return set_frag;
	case ah:
		return set_ah;
	default:
		return set_dst;
	}
}

/* One step of the walk for the set, which is another one. What is next and not looked at is the
 * protocol. */
FUNCTION long bf_header_set(u64 i, struct walker *walker)
{
	struct __sk_buff *skb = walker->skb;
	u8 *e = walker->e;
	u32 next = WORD(e, walk_next), at = WORD(e, walk_offset), length;
	int kind = extension_of(next);

	if (kind == extensions && next != number_esp) {
		WORD(e, walk_set) |= next == number_none ? set_none : set_protocol;
		return stop;
	}
	if ((s32)(WORD(e, key_length) - at) < 2) {
		WORD(e, walk_set) = set_unknown;
		return stop;
	}
	if (kind == extensions) {
		WORD(e, walk_set) |= set_esp;
		return stop;
	}
	if (LOAD(skb, at, e, element_scratch, 2)) { /* cannot be */
		WORD(e, walk_set) = set_unknown;
		return stop;
	}
	WORD(e, walk_set) |= flag_of(kind);
	length = extension_length(kind, BYTE(e, element_scratch + 1));
	next = BYTE(e, element_scratch);
	WORD(e, walk_next) = next;
	WORD(e, walk_offset) = at + length;
	if (at + length <= WORD(e, key_length))
		return go_on;
	if (next != number_none && next != number_esp)
		WORD(e, walk_set) |= set_protocol;
	return stop;
}

/* After all that needs the places of the other walk's end. */
INLINE void parse_header_set(struct __sk_buff *skb, u8 *e, u32 next)
{
	struct walker walker = { skb, e };

	WORD(e, walk_set) = 0;
	WORD(e, walk_offset) = ipv6_header;
	WORD(e, walk_next) = next;
	bpf_loop(loops_max, bf_header_set, &walker, 0);
	WORD(e, key_header_set) = WORD(e, walk_set);
}

/*
 * Is the source address made of the sender's Ethernet address? What stands before the IP header
 * the program cannot find out, nor what kind of device it came from: the module says so.
 * The lower half of the source in the key: 02|a b c ff | fe d e f.
 */
INLINE u32 eui64_state(struct __sk_buff *skb, u8 *e, u32 version)
{
	u32 link = CONTEXT(e, link);
	u8 *sender = e + element_scratch; /* 6 bytes, then the EtherType */
	u32 high, low;

	if (link == BPFILTER_LINK_OTHER)
		return absent;
	if (link != BPFILTER_LINK_ETHERNET)
		return cut_off;
	if (bpf_skb_load_bytes_relative(skb, 6, sender, 8, BPF_HDR_START_MAC))
		return cut_off;
	if (SHORT_BE(sender, 6) != 0x86dd || version != 6)
		return absent;
	high = (BYTE(sender, 0) ^ 2) << 24 | BYTE(sender, 1) << 16 | BYTE(sender, 2) << 8 | 0xff;
	low = 0xfeU << 24 | BYTE(sender, 3) << 16 | BYTE(sender, 4) << 8 | BYTE(sender, 5);
	return WORD(e, key_source_2) == high && WORD(e, key_source_3) == low ? present : absent;
}

INLINE void parse_eui64(struct __sk_buff *skb, u8 *e, u32 version)
{
	u32 state = eui64_state(skb, e, version);

	WORD(e, key_eui64) = state;
	if (state == cut_off)
		WORD(e, element_odd) |= BPFILTER_ODD_EUI64;
}

/* At `from` in the IP header. */
INLINE void set_address(u8 *e, u32 from, u32 first, u32 others)
{
	WORD(e, first) = WORD_BE(e, ipv6 + from);
	WORD(e, others) = WORD_BE(e, ipv6 + from + 4);
	WORD(e, others + 4) = WORD_BE(e, ipv6 + from + 8);
	WORD(e, others + 8) = WORD_BE(e, ipv6 + from + 12);
}

/* 0, or the packet cannot be read. */
INLINE int parse6(struct __sk_buff *skb, u8 *e)
{
	u32 next, version;

	if (load_headers(skb, e, ipv6_header))
		return -1;
	set_address(e, 8, key_source, key_source_1);
	set_address(e, 24, key_destination, key_destination_1);
	WORD(e, key_fragment) = 0;
	WORD(e, key_tos) = SHORT_BE(e, ipv6) >> 4 & 255;
	WORD(e, key_ttl) = BYTE(e, ipv6 + 7);
	if (NEEDS(skb))
		parse_skb(skb, e, 0);
	next = BYTE(e, ipv6 + 6);
	version = BYTE(e, ipv6) >> 4;
	if (NEEDS(walk)) {
		walk_headers(skb, e, next);
		set_walk(e);
	}
	if (NEEDS(transport))
		parse_transport6(skb, e);
	if (NEEDS(hop))
		parse_hop(skb, e);
	if (NEEDS(dst))
		parse_dst(skb, e);
	if (NEEDS(routing))
		parse_routing(skb, e);
	if (NEEDS(frag))
		parse_frag(skb, e);
	if (NEEDS(ah))
		parse_ah(skb, e);
	if (NEEDS(header_set))
		parse_header_set(skb, e, next);
	if (NEEDS(link))
		parse_eui64(skb, e, version);
	return 0;
}

#endif /* UMH_BPF_PARSE6_H */
