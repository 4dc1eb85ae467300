// SPDX-License-Identifier: GPL-2.0
#include <linux/audit.h>
#include <linux/mutex.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/netns.h"
#include "packet/table.h"
#include "packet/version.h"

/* The lists, and who may swap a version. */
DEFINE_MUTEX(bpfilter_tables_mutex);
static LIST_HEAD(all_tables);

/* So many tables are looked at before whoever waits for the mutex has it. */
#define VISITS_AT_ONCE 64

/* Somebody on his way through all tables: where he goes on when he has the mutex again. */
struct walk {
	struct list_head list; /* of walks */
	struct list_head *next; /* of all_tables */
};

static LIST_HEAD(walks);

struct bpfilter_version *bpfilter_table_version_of(const struct bpfilter_table *table)
{
	return rcu_dereference_protected(table->version, lockdep_is_held(&bpfilter_tables_mutex));
}

struct bpfilter_table *bpfilter_table_find(struct net *net, u8 family, const char *name)
{
	struct bpfilter_table *table;

	lockdep_assert_held(&bpfilter_tables_mutex);
	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		if (table->family == family && !strcmp(table->name, name))
			return table;
	return NULL;
}

struct bpfilter_version *bpfilter_table_version(struct net *net, u8 family, const char *name)
{
	struct bpfilter_version *version = NULL;
	struct bpfilter_table *table;

	mutex_lock(&bpfilter_tables_mutex);
	table = bpfilter_table_find(net, family, name);
	if (table)
		version = bpfilter_version_get(bpfilter_table_version_of(table));
	mutex_unlock(&bpfilter_tables_mutex);
	return version;
}

/* Up to so many tables; are there any that are watched? */
static bool visit_some(struct walk *walk, void (*visit)(struct bpfilter_table *table))
{
	bool any = false;
	int i;

	lockdep_assert_held(&bpfilter_tables_mutex);
	for (i = 0; i < VISITS_AT_ONCE && walk->next != &all_tables; i++) {
		struct bpfilter_table *table =
			list_entry(walk->next, struct bpfilter_table, in_all);

		walk->next = walk->next->next;
		if (!bpfilter_table_version_of(table)->watch && !bpfilter_net_has_links(table->net))
			continue;
		visit(table);
		any = true;
	}
	return any;
}

/* No walk goes on at a table that is taken out. */
static void pass_by(const struct bpfilter_table *table)
{
	struct walk *walk;

	list_for_each_entry(walk, &walks, list)
		if (walk->next == &table->in_all)
			walk->next = table->in_all.next;
}

/* There may be tens of thousands, and commits wait for the mutex. */
bool bpfilter_table_each_watched(void (*visit)(struct bpfilter_table *table))
{
	struct walk walk;
	bool any = false, more;

	mutex_lock(&bpfilter_tables_mutex);
	walk.next = all_tables.next;
	list_add(&walk.list, &walks);
	for (;;) {
		any |= visit_some(&walk, visit);
		more = walk.next != &all_tables;
		if (!more)
			break;
		mutex_unlock(&bpfilter_tables_mutex);
		cond_resched();
		mutex_lock(&bpfilter_tables_mutex);
	}
	list_del(&walk.list);
	mutex_unlock(&bpfilter_tables_mutex);
	return any;
}

int bpfilter_table_each(int (*visit)(struct bpfilter_table *table, void *data), void *data)
{
	struct bpfilter_table *table;
	int error = 0;

	mutex_lock(&bpfilter_tables_mutex);
	list_for_each_entry(table, &all_tables, in_all) {
		error = visit(table, data);
		if (error)
			break;
	}
	mutex_unlock(&bpfilter_tables_mutex);
	return error;
}

bool bpfilter_table_any(void)
{
	return !list_empty_careful(&all_tables);
}

void bpfilter_table_list(struct net *net, u8 family, struct seq_file *seq)
{
	struct bpfilter_table *table;

	mutex_lock(&bpfilter_tables_mutex);
	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		if (table->family == family)
			seq_printf(seq, "%s\n", table->name);
	mutex_unlock(&bpfilter_tables_mutex);
}

bool bpfilter_table_is_early(const struct bpfilter_table *table)
{
	return table->family == NFPROTO_IPV4 && !strcmp(table->name, "filter");
}

struct bpfilter_table *bpfilter_table_new(struct net *net, u8 family, const char *name)
{
	struct bpfilter_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		return NULL;
	table->net = net;
	table->family = family;
	strscpy(table->name, name, sizeof(table->name));
	if (bpfilter_table_is_early(table)) {
		table->drops = alloc_percpu_gfp(u64, GFP_KERNEL_ACCOUNT);
		if (!table->drops) {
			kfree(table);
			return NULL;
		}
	}
	return table;
}

void bpfilter_table_free(struct bpfilter_table *table)
{
	free_percpu(table->drops);
	kfree(table);
}

void bpfilter_table_enter(struct bpfilter_table *table)
{
	lockdep_assert_held(&bpfilter_tables_mutex);
	list_add(&table->in_net, &bpfilter_net(table->net)->tables);
	list_add_tail(&table->in_all, &all_tables);
}

/* The REPLACE tells, for callers of both kinds at the same place; first contents are known. */
static u32 entries_of(const struct bpfilter_table *table, const struct bpfilter_version *version)
{
	const struct ipt_replace *replace = version->payload;

	return replace ? replace->num_entries : table->hook_count + 1;
}

static void end(struct bpfilter_table *table)
{
	struct bpfilter_version *version;

	mutex_lock(&bpfilter_tables_mutex);
	version = bpfilter_table_version_of(table);
	pass_by(table);
	list_del(&table->in_net);
	list_del(&table->in_all);
	mutex_unlock(&bpfilter_tables_mutex);
	/* It may wait for whoever reads the records, so nobody must wait for us. */
	audit_log_nfcfg(table->name, table->family, entries_of(table, version),
			AUDIT_XT_OP_UNREGISTER, GFP_KERNEL);
	bpfilter_version_unpin(version, NULL);
	bpfilter_version_end(version);
	bpfilter_version_put(version);
	bpfilter_table_free(table);
}

void bpfilter_table_end(struct net *net)
{
	struct bpfilter_table *table, *next;

	list_for_each_entry_safe(table, next, &bpfilter_net(net)->tables, in_net)
		end(table);
}
