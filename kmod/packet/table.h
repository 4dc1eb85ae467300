/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of a network namespace: its hooks, and the version in force, which packets
 * find by RCU. A table comes with its first COMMIT and goes with its namespace.
 */
#ifndef KMOD_PACKET_TABLE_H
#define KMOD_PACKET_TABLE_H

#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/types.h>

#include <bpfilter/pipe.h>

struct bpfilter_request;
struct bpfilter_version;
struct net;
struct seq_file;

struct bpfilter_table {
	struct list_head in_net; /* of its namespace, most recently created first */
	struct list_head in_all; /* of all namespaces, oldest first */
	struct net *net; /* no reference: the namespace ends us */
	char name[BPFILTER_TABLE_NAME_LEN];
	u8 family;
	struct bpfilter_version __rcu *version;
	u32 hook_count;
	struct nf_hook_ops hook[BPFILTER_HOOKS_MAX];
	u32 hook_flags[BPFILTER_HOOKS_MAX]; /* BPFILTER_HOOK_* */

	/* What INPUT dropped, for watch.c; NULL for tables whose rules no device decides. */
	u64 __percpu *drops;
	u64 drops_seen;
	unsigned long drops_looked; /* jiffies */
};

/* IOC_COMMIT, with an element_size of 0, or IOC_COMMIT_RECORDS, for a request that is held. */
int bpfilter_table_commit(struct bpfilter_request *request,
			  const struct bpfilter_commit_records *records);
/* The version in force, referenced, or NULL. */
struct bpfilter_version *bpfilter_table_version(struct net *net, u8 family, const char *name);
/* Adds a REPLAY for every table in force to `replays`. */
int bpfilter_table_replays(struct list_head *replays);
/* Visits tables that watch devices, or whose namespace has links at XDP. Are there any? */
bool bpfilter_table_each_watched(void (*visit)(struct bpfilter_table *table));
/* Is there anything a helper should know of? */
bool bpfilter_table_any(void);
void bpfilter_table_list(struct net *net, u8 family, struct seq_file *seq);

/* The two steps at the end of a namespace; a grace period is between them. */
void bpfilter_table_unhook(struct net *net);
void bpfilter_table_free(struct net *net);

#endif /* KMOD_PACKET_TABLE_H */
