/* SPDX-License-Identifier: GPL-2.0 */
/* Which headers there are, as `ipv6header` counts them. */
#ifndef UMH_BPF_HEADER_SET6_H
#define UMH_BPF_HEADER_SET6_H

#include "umh/bpf/walk6.h"

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

#endif /* UMH_BPF_HEADER_SET6_H */
