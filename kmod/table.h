/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of a network namespace: its hooks, and the version in force, which packets
 * find by RCU. A table comes with its first COMMIT and goes with its namespace.
 */
#ifndef BF_TABLE_H
#define BF_TABLE_H

#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/types.h>

#include <bpfilter/pipe.h>

struct bf_request;
struct bf_version;
struct net;
struct seq_file;

struct bf_table {
	struct list_head in_net; /* of its namespace, most recently created first */
	struct list_head in_all; /* of all namespaces, oldest first */
	struct net *net; /* no reference: the namespace ends us */
	char name[BPFILTER_TABLE_NAME_LEN];
	u8 family;
	struct bf_version __rcu *version;
	u32 hook_count;
	struct nf_hook_ops hook[BPFILTER_HOOKS_MAX];
};

/* IOC_COMMIT, for a request that is held. */
int bf_table_commit(struct bf_request *request, const struct bpfilter_commit *commit);
/* The version in force, referenced, or NULL. */
struct bf_version *bf_table_version(struct net *net, u8 family, const char *name);
/* Adds a REPLAY for every table in force to `replays`. */
int bf_table_replays(struct list_head *replays);
/* Visits namespaces whose tables watch devices, some more than once. Are there any? */
bool bf_table_each_watched(void (*visit)(struct net *net));
/* Is there anything a helper should know of? */
bool bf_table_any(void);
void bf_table_list(struct net *net, u8 family, struct seq_file *seq);

/* The two steps at the end of a namespace; a grace period is between them. */
void bf_table_unhook(struct net *net);
void bf_table_free(struct net *net);

#endif /* BF_TABLE_H */
