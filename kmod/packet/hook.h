/* SPDX-License-Identifier: GPL-2.0 */
/* What a packet meets: the program of a table's version in force, at one hook. */
#ifndef KMOD_PACKET_HOOK_H
#define KMOD_PACKET_HOOK_H

#include <linux/types.h>

struct bpfilter_commit_hook;
struct bpfilter_table;
struct net;
struct nf_hook_entry;

/* The hooks of a table that is not in force yet, as the COMMIT describes them. */
void bpfilter_hook_describe(struct bpfilter_table *table, u32 number,
			    const struct bpfilter_commit_hook *hook);
/* With its first version in place. An error leaves none registered. Sleeps. */
int bpfilter_hook_register(struct bpfilter_table *table);
/*
 * The namespace goes: all of its tables'. Nobody can commit to it any more: a request would hold a
 * reference to it.
 */
void bpfilter_hook_end(struct net *net);

/* Is that a hook of a table of this name? In RCU. */
bool bpfilter_hook_is_of(const struct nf_hook_entry *entry, const char *table);

#endif /* KMOD_PACKET_HOOK_H */
