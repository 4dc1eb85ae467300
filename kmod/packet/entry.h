/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An entry of iptables, struct ipt_entry or ip6t_entry: its matches and its target follow each
 * other behind its head. What came from outside is checked first, and does not change then.
 */
#ifndef KMOD_PACKET_ENTRY_H
#define KMOD_PACKET_ENTRY_H

#include <linux/types.h>

struct bpfilter_entry {
	u32 head; /* bytes: the first match, if there is any, is behind them */
	u32 target;
	u32 next;
	u16 protocol;
	bool is_inverted; /* any but that */
	/* IPv6, of one that is prepared: its rule does not match before that header is found. */
	bool needs_transport;
};

/* Of bytes that were checked. */
struct bpfilter_entry bpfilter_entry_of(const void *bytes, u8 family);
/* Its end lies within `room`: the first of the two checks. -EINVAL. */
int bpfilter_entry_measure(const void *bytes, u32 room, u8 family);
/* All that it consists of lies within it, as ip_tables asks it to. -EINVAL. */
int bpfilter_entry_check(const void *bytes, u8 family);
/* How many matches it has, and one for the target. */
u32 bpfilter_entry_count(const void *bytes, u8 family);
/*
 * As ip_tables does before it has anything of an entry checked: some fields are its own, and IPv6's
 * flag that a protocol is asked it sets where there is one, but in kernels that are lax about it.
 */
void bpfilter_entry_prepare(void *bytes, u8 family, u32 hooks);
/* Where its target begins, and its end: at the same place in entries of 32-bit callers. */
void bpfilter_entry_set_offsets(void *bytes, u8 family, u16 target, u16 next);

#endif /* KMOD_PACKET_ENTRY_H */
