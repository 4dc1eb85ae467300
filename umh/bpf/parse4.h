/* SPDX-License-Identifier: GPL-2.0 */
/* From an IPv4 packet to the key. */
#ifndef UMH_BPF_PARSE4_H
#define UMH_BPF_PARSE4_H

#include "umh/bpf/parse.h"

enum { ipv4_header = 20, ipv4 = element_scratch - ipv4_header };

/* A fragment of offset 1 would overwrite the flags: whoever asks for TCP has it dropped. */
INLINE void parse_transport4(struct __sk_buff *skb, u8 *e, u32 l4)
{
	u32 protocol = WORD(e, key_protocol), fragment = WORD(e, key_fragment);

	if (!fragment)
		parse_transport(skb, e, protocol, l4, ipv4_header);
	else
		set_no_transport(e, protocol, fragment == 1 ? cut_off : absent, absent);
}

/* 0, or the packet cannot be read. */
INLINE int parse4(struct __sk_buff *skb, u8 *e)
{
	u32 l4;

	if (load_headers(skb, e, ipv4_header))
		return -1;
	WORD(e, key_destination) = WORD_BE(e, ipv4 + 16);
	WORD(e, key_source) = WORD_BE(e, ipv4 + 12);
	DOUBLE(e, key_destination_1) = 0; /* all words behind the first */
	DOUBLE(e, key_destination_3) = 0;
	DOUBLE(e, key_source_2) = 0;
	WORD(e, key_fragment) = SHORT_BE(e, ipv4 + 6) & IP_OFFSET_MASK;
	WORD(e, key_tos) = BYTE(e, ipv4 + 1);
	WORD(e, key_ttl) = BYTE(e, ipv4 + 8);
	if (NEEDS(skb))
		parse_skb(skb, e, SHORT_BE(e, ipv4 + 2));
	if (NEEDS(walk)) {
		WORD(e, key_protocol) = BYTE(e, ipv4 + 9);
		WORD(e, key_transport) = present;
	}
	if (NEEDS(transport)) {
		l4 = (BYTE(e, ipv4) & 15) << 2;
		parse_transport4(skb, e, l4);
	}
	return 0;
}

#endif /* UMH_BPF_PARSE4_H */
