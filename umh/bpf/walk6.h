/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The walk over the extension headers of IPv6 as umh/core/ir/parse6.h tells it, made once, and what
 * is found on it. There may be as many headers as fit a packet, so what goes from one to the next
 * is the step of a bpf_loop().
 */
#ifndef UMH_BPF_WALK6_H
#define UMH_BPF_WALK6_H

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

#endif /* UMH_BPF_WALK6_H */
