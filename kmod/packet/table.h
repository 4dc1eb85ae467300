/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of a network namespace: its hooks, and the version in force, which packets
 * find by RCU. A table comes with its first COMMIT (pipe/commit.h) and goes with its namespace.
 */
#ifndef KMOD_PACKET_TABLE_H
#define KMOD_PACKET_TABLE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/types.h>

#include <bpfilter/pipe.h>

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

	/* What INPUT dropped, for xdp/watch.c; NULL for tables whose rules no device decides. */
	u64 __percpu *drops;
	u64 drops_seen;
	unsigned long drops_looked; /* jiffies */
};

/* Guards the lists of tables and who may swap a version. Not taken by packets. */
extern struct mutex bpfilter_tables_mutex;

/* The next three under the mutex. The table by that name, or NULL. */
struct bpfilter_table *bpfilter_table_find(struct net *net, u8 family, const char *name);
struct bpfilter_version *bpfilter_table_version_of(const struct bpfilter_table *table);
/* It is one of its namespace. */
void bpfilter_table_enter(struct bpfilter_table *table);

/* One without hooks and version, that nobody knows yet; NULL: no memory. */
struct bpfilter_table *bpfilter_table_new(struct net *net, u8 family, const char *name);
/* When nobody knows it, and without its version. */
void bpfilter_table_free(struct bpfilter_table *table);
/* May rules of it be decided at XDP? */
bool bpfilter_table_is_early(const struct bpfilter_table *table);

/* The version in force, referenced, or NULL. */
struct bpfilter_version *bpfilter_table_version(struct net *net, u8 family, const char *name);
/* Visits all, oldest first, under the mutex, until there is an error. */
int bpfilter_table_each(int (*visit)(struct bpfilter_table *table, void *data), void *data);
/* Visits tables that watch devices, or whose namespace has links at XDP. Are there any? */
bool bpfilter_table_each_watched(void (*visit)(struct bpfilter_table *table));
/* Is there anything a helper should know of? */
bool bpfilter_table_any(void);
void bpfilter_table_list(struct net *net, u8 family, struct seq_file *seq);

/* The namespace goes: a grace period behind bpfilter_hook_end(). */
void bpfilter_table_end(struct net *net);

#endif /* KMOD_PACKET_TABLE_H */
