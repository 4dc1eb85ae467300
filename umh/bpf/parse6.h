/* SPDX-License-Identifier: GPL-2.0 */
/* From an IPv6 packet to the key. */
#ifndef UMH_BPF_PARSE6_H
#define UMH_BPF_PARSE6_H

#include "umh/bpf/header_set6.h"
#include "umh/bpf/options6.h"
#include "umh/bpf/parse.h"
#include "umh/bpf/walk6.h"

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
