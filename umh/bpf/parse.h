/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From a packet to the key: what both families have in common. `e` is the element.
 *
 * What fields.def says of a field that is not there holds here: it is 0.
 */
#ifndef UMH_BPF_PARSE_H
#define UMH_BPF_PARSE_H

#include <bpfilter/context.h>

#include "umh/bpf/key.h"
#include "umh/bpf/record.h"

#define IP_OFFSET_MASK 0x1fff

enum {
	tcp_header = 20,
	sctp_header = 12,
	short_header = 8,
	mobility_header = 6,
	two_ports = 4,
	tcp_options_max = 40,

	protocol_tcp = 6,
	protocol_none = 59,
	protocol_mobility = 135,
};

/* Bytes from `offset` behind the start of the IP header on, to `to` in the element. */
#define LOAD(skb, offset, e, to, size) bpf_skb_load_bytes(skb, (offset) + L3, (e) + (to), size)

#define CONTEXT(e, field) \
	WORD(e, element_context + __builtin_offsetof(struct bpfilter_context, field))

/* What a step of a bpf_loop() is given. What it works on is in memory: to the verifier all steps
 * look the same. */
struct walker {
	struct __sk_buff *skb;
	u8 *e;
};

enum { go_on, stop };

/* Where the next option is in the scratch, and how many bytes of options that holds. */
enum { tcp_options_at = element_walk, tcp_options_size = element_walk + 4 };

/* One step over the TCP options, as tcp_find_option() of xt_tcpudp does it. */
FUNCTION long bf_tcp_option(u64 i, struct walker *walker)
{
	u8 *e = walker->e, *p;
	u32 at = WORD(e, tcp_options_at), size = WORD(e, tcp_options_size), kind, step = 1;

	if (at >= size || at >= tcp_options_max)
		return stop;
	p = e + at;
	kind = BYTE(p, element_scratch);
	WORD(e + (kind >> 5 << 2), key_tcp_option_kinds_0) |= 1U << (kind & 31);
	if (kind > 1 && at + 1 < size && BYTE(p, element_scratch + 1))
		step = BYTE(p, element_scratch + 1);
	WORD(e, tcp_options_at) = at + step;
	return go_on;
}

/* Of a TCP header at `l4` that is there; its first bytes are in the scratch. */
INLINE int read_tcp_options(struct __sk_buff *skb, u8 *e, u32 l4)
{
	struct walker walker = { skb, e };
	u64 size = BYTE(e, element_scratch + 12) >> 4 << 2;

	if (size < tcp_header)
		return cut_off;
	size -= tcp_header;
	if (!size)
		return present;
	if (l4 + tcp_header + size > WORD(e, key_length))
		return cut_off;
	LAUNDER(size);
	WITHIN(size, 1, tcp_options_max, broken);
	if (LOAD(skb, l4 + tcp_header, e, element_scratch, size))
		return cut_off;
	WORD(e, tcp_options_at) = 0;
	WORD(e, tcp_options_size) = size;
	bpf_loop(tcp_options_max, bf_tcp_option, &walker, 0);
	return present;
broken:
	return cut_off;
}

INLINE void parse_tcp_options(struct __sk_buff *skb, u8 *e, u32 l4, u32 tcp)
{
	u32 state = cut_off;

	DOUBLE(e, key_tcp_option_kinds_0) = 0;
	DOUBLE(e, key_tcp_option_kinds_2) = 0;
	DOUBLE(e, key_tcp_option_kinds_4) = 0;
	DOUBLE(e, key_tcp_option_kinds_6) = 0;
	if (tcp == present)
		state = read_tcp_options(skb, e, l4);
	WORD(e, key_tcp_options) = state;
	if (state == present)
		return;
	WORD(e, element_odd) |= BPFILTER_ODD_TCP_OPTIONS;
	if (tcp == present)
		WORD(e, element_odd) |= BPFILTER_ODD_TCP_OPTIONS_HERE;
}

/* The states, and what is cut off. */
INLINE void set_transport(u8 *e, u32 protocol, u32 tcp, u32 ports, u32 mobility)
{
	u32 odd = 0;

	WORD(e, key_tcp) = tcp;
	WORD(e, key_ports) = ports;
	WORD(e, key_mobility) = mobility;
	if (tcp == cut_off) {
		odd |= BPFILTER_ODD_TCP;
		if (protocol == protocol_tcp)
			odd |= BPFILTER_ODD_TCP_HERE;
	}
	if (ports == cut_off) {
		odd |= BPFILTER_ODD_PORTS;
		if (protocol != protocol_tcp)
			odd |= BPFILTER_ODD_PORTS_HERE;
	}
	if (mobility == cut_off) {
		odd |= BPFILTER_ODD_MOBILITY;
		if (protocol == protocol_mobility)
			odd |= BPFILTER_ODD_MOBILITY_HERE;
	}
	if (odd)
		WORD(e, element_odd) |= odd;
}

/* Of the scratch, if its bytes are there. */
INLINE void set_beginnings(u8 *e, u32 pair, u32 ports, u32 sctp)
{
	WORD(e, key_pair) = pair;
	WORD(e, key_sctp) = sctp;
	if (sctp == cut_off)
		WORD(e, element_odd) |= BPFILTER_ODD_SCTP;
	WORD(e, key_word_0) = ports == present ? WORD_BE(e, element_scratch) : 0;
	WORD(e, key_word_1) = ports == present ? WORD_BE(e, element_scratch + 4) : 0;
}

/* The ports of a header of which so many bytes are in the scratch. */
INLINE void set_ports(u8 *e, u32 protocol, u32 size)
{
	u32 both = 0, has = size >= (protocol == protocol_tcp ? tcp_header : short_header);
	u32 start = protocol << 17;

	if (size >= two_ports)
		both = WORD_BE(e, element_scratch);
	WORD(e, key_source_port) = both >> 16;
	WORD(e, key_destination_port) = both & 0xffff;
	WORD(e, key_flags) = size >= tcp_header ? BYTE(e, element_scratch + 13) : 0;
	if (!has)
		both = 0;
	else
		start |= 1 << 16;
	WORD(e, key_protocol_source_port) = start | both >> 16;
	WORD(e, key_protocol_destination_port) = start | (both & 0xffff);
}

/* There is no transport header to be read. */
INLINE void set_no_transport(u8 *e, u32 protocol, u32 tcp, u32 others)
{
	set_ports(e, protocol, 0);
	WORD(e, key_mobility_type) = 0;
	set_transport(e, protocol, tcp, others, IS_IPV6 ? others : absent);
	if (NEEDS(beginnings))
		set_beginnings(e, others, others, others);
	if (NEEDS(tcp_options))
		parse_tcp_options(0, e, 0, tcp);
}

/* 0, or the IP header cannot be read: to where it ends at the scratch. What most packets have
 * behind it is read with it, since it is the call that costs. */
INLINE int load_headers(struct __sk_buff *skb, u8 *e, u32 header)
{
	s32 left = WORD(e, key_length) - header;

	if (NEEDS(transport) && left >= tcp_header)
		return LOAD(skb, 0, e, element_scratch - header, header + tcp_header);
	if (NEEDS(transport) && left >= short_header)
		return LOAD(skb, 0, e, element_scratch - header, header + short_header);
	return LOAD(skb, 0, e, element_scratch - header, header);
}

/* The transport header at `l4`. Right behind `header` it is in the scratch already, if there are
 * as many bytes as load_headers() reads. */
INLINE void parse_transport(struct __sk_buff *skb, u8 *e, u32 protocol, u32 l4, u32 header)
{
	s32 left = WORD(e, key_length) - l4;
	u32 tcp = cut_off, ports = cut_off, mobility = IS_IPV6 ? cut_off : absent;
	u32 type = 0, size = 0;

	if (left >= tcp_header) {
		if (l4 == header || !LOAD(skb, l4, e, element_scratch, tcp_header)) {
			size = tcp_header;
			tcp = present;
			ports = present;
		}
	} else if (left >= short_header) {
		if (l4 == header || !LOAD(skb, l4, e, element_scratch, short_header)) {
			size = short_header;
			ports = present;
		}
	} else if (IS_IPV6 && left >= mobility_header) {
		if (!LOAD(skb, l4, e, element_scratch, mobility_header))
			size = mobility_header;
	} else if (left >= two_ports) {
		if (!LOAD(skb, l4, e, element_scratch, two_ports))
			size = two_ports;
	}
	if (IS_IPV6 && size >= mobility_header && BYTE(e, element_scratch) == protocol_none) {
		mobility = present;
		type = BYTE(e, element_scratch + 2);
	}
	WORD(e, key_mobility_type) = type;
	set_ports(e, protocol, size);
	set_transport(e, protocol, tcp, ports, mobility);
	if (NEEDS(beginnings))
		set_beginnings(e, size >= two_ports ? present : cut_off, ports,
			       ports == present && left >= sctp_header ? present : cut_off);
	if (NEEDS(tcp_options))
		parse_tcp_options(skb, e, l4, tcp);
}

/* Eight bytes of a name in the context, as two words of the key. */
INLINE void set_name(u8 *e, u32 from, u32 to)
{
	u64 both = __builtin_bswap64(DOUBLE(e, element_context + from));

	DOUBLE(e, to) = both << 32 | both >> 32;
}

INLINE void parse_devices(u8 *e)
{
	const u32 in = __builtin_offsetof(struct bpfilter_context, in);
	const u32 out = __builtin_offsetof(struct bpfilter_context, out);

	set_name(e, in, key_in_0);
	set_name(e, in + 8, key_in_2);
	set_name(e, out, key_out_0);
	set_name(e, out + 8, key_out_2);
}

/* XT_CONNTRACK_STATE_SNAT and _DNAT, whose header is not one for BPF. */
enum { translated = 1 << 6 | 1 << 7 };

INLINE void parse_connection(u8 *e)
{
	u32 connection = CONTEXT(e, connection);

	WORD(e, key_connection) = connection & ~translated;
	WORD(e, key_translation) = connection & translated;
}

/* PACKET_*, whose header is not one for BPF. */
enum { packet_broadcast = 1, packet_multicast = 2, packet_loopback = 5 };

/* `length`: as the IP header has it, or 0. As xt_pkttype has the type. */
INLINE void parse_skb(struct __sk_buff *skb, u8 *e, u32 length)
{
	u32 type = skb->pkt_type;

	if (type == packet_loopback) {
		type = packet_broadcast;
		if (IS_IPV6 || WORD(e, key_destination) >> 28 == 14)
			type = packet_multicast;
	}
	WORD(e, key_total_length) = length ? length : WORD(e, key_length);
	WORD(e, key_packet_type) = type;
	WORD(e, key_cpu) = skb->cb[0] / BPFILTER_NESTING;
}

#endif /* UMH_BPF_PARSE_H */
