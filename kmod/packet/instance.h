/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Instances: matches and targets of the kernel's own, found and checked in the name of whoever
 * brought the table (check.h), each with its place in a copy of its entry, which does not move.
 * The programs of the version that they came with have them called by their numbers.
 */
#ifndef KMOD_PACKET_INSTANCE_H
#define KMOD_PACKET_INSTANCE_H

#include <linux/types.h>

struct bpfilter_context;
struct bpfilter_instances;
struct bpfilter_charge;
struct net;
struct nf_hook_state;
struct sk_buff;
struct xt_action_param;

/*
 * Room for so many, of entries of so many bytes in all. Whoever has them sees to it that the
 * namespace is there as long as they are. NULL: no memory. In the name of the caller.
 */
struct bpfilter_instances *bpfilter_instances_new(struct net *net, u8 family, u32 count,
						  size_t bytes);
/* Where the copy of the entry that begins `offset` bytes behind the first is to be. */
void *bpfilter_instances_entry(struct bpfilter_instances *instances, size_t offset);
/*
 * All matches of this copy, whose offsets were checked, and its target, for these hooks of this
 * table: they are the next instances. On error none of them is. Loads modules.
 */
int bpfilter_instances_add(struct bpfilter_instances *instances, const char *table, void *entry,
			   u32 hooks);
/* What a listing shows of an entry that was added, in the place of what was given. */
void bpfilter_instances_show(const void *entry, u8 family, void *given);
/* No packet may be in the version that they belong to. NULL: none. Sleeps. */
void bpfilter_instances_destroy(struct bpfilter_instances *instances);
/*
 * The same, by who must not wait for it: a thread of the helper's, when their caller was killed. It
 * has a hold on the namespace now, but may not have one then. What is charged ends when they are
 * gone.
 */
void bpfilter_instances_leave(struct bpfilter_instances *instances,
			      const struct bpfilter_charge *charge);
/* That they take. */
unsigned long bpfilter_instances_bytes(const struct bpfilter_instances *instances);

/*
 * Calls the one that the program asks for in its context; NULL: there is none. XT_CONTINUE: the
 * program goes on; if param->hotdrop is set, no further than the end of the rule. Anything else is
 * the verdict, and the packet may not be ours any more. `param` is of the packet: as
 * bpfilter_instances_begin() made it.
 */
unsigned int bpfilter_instances_call(const struct bpfilter_instances *instances,
				     struct bpfilter_context *context, struct sk_buff *skb,
				     struct xt_action_param *param);
void bpfilter_instances_begin(struct xt_action_param *param, const struct sk_buff *skb,
			      const struct nf_hook_state *state);

int bpfilter_instances_init(void);
/* When nobody has any. */
void bpfilter_instances_exit(void);

#endif /* KMOD_PACKET_INSTANCE_H */
