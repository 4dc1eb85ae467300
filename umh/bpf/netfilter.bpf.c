// SPDX-License-Identifier: GPL-2.0
/*
 * The program of every netfilter hook: parser and walker. See bpfilter/context.h for what it is
 * given and gives.
 */
#include "umh/bpf/types.h"

int bf_walk(struct __sk_buff *skb);

#include "umh/bpf/parse4.h"
#include "umh/bpf/parse6.h"
#include "umh/bpf/walk.h"

/* 0, or the packet cannot be read. What no rule asks for is not looked at. */
INLINE int parse(struct __sk_buff *skb, u8 *e)
{
	WORD(e, element_odd) = 0;
	WORD(e, key_length) = skb->len - L3;
	if (NEEDS(devices))
		parse_devices(e);
	if (NEEDS(mark))
		WORD(e, key_mark) = skb->mark;
	if (NEEDS(connection))
		parse_connection(e);
	if (!NEEDS(ip))
		return 0;
	WORD(e, key_zero) = 0;
	return IS_IPV6 ? parse6(skb, e) : parse4(skb, e);
}

ENTRY int bf_walk(struct __sk_buff *skb)
{
	u32 number = skb->cb[0] & (u32)NUMBER(bf_number_element_mask);
	u8 *e = AT_DIRECT_ADDRESS(bf_map_elements) + (number << element_bits);
	u32 again = CONTEXT(e, again);

	if (again == again_new || again == again_parse) {
		if (parse(skb, e))
			return BPFILTER_DROP;
		if (again == again_new)
			begin(e, number);
		else
			change_way(e);
	} else if (again == again_answer) {
		take_answer(skb, e);
	}
	return walk(skb, e, skb->cb[0] & BPFILTER_STEP ? 1 : steps_max);
}
