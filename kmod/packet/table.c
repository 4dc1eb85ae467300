// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/audit.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "base/keep.h"
#include "base/netns.h"
#include "packet/hook.h"
#include "packet/table.h"
#include "packet/version.h"
#include "request/queue.h"
#include "request/request.h"
#include "request/tell.h"
#include "xdp/attach.h"
#include "xdp/guard.h"
#include "xdp/watch.h"

/*
 * A version that this many helpers died of is not replayed to the next, so that the others
 * are known to it. It may have been chance: should that one be asked for the table, its
 * attempt to create it shows, and another helper is started that is told again.
 */
#define REPLAYS_MAX 2

/* Guards the lists of tables and who may swap a version. Not taken by packets. */
static DEFINE_MUTEX(tables_mutex);
static LIST_HEAD(all_tables);

static struct bpfilter_version *version_of(const struct bpfilter_table *table)
{
	return rcu_dereference_protected(table->version, lockdep_is_held(&tables_mutex));
}

static struct bpfilter_table *find_table(struct net *net, u8 family, const char *name)
{
	struct bpfilter_table *table;

	lockdep_assert_held(&tables_mutex);
	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		if (table->family == family && !strcmp(table->name, name))
			return table;
	return NULL;
}

struct bpfilter_version *bpfilter_table_version(struct net *net, u8 family, const char *name)
{
	struct bpfilter_version *version = NULL;
	struct bpfilter_table *table;

	mutex_lock(&tables_mutex);
	table = find_table(net, family, name);
	if (table)
		version = bpfilter_version_get(version_of(table));
	mutex_unlock(&tables_mutex);
	return version;
}

bool bpfilter_table_each_watched(void (*visit)(struct bpfilter_table *table))
{
	struct bpfilter_table *table;
	bool any = false;

	mutex_lock(&tables_mutex);
	list_for_each_entry(table, &all_tables, in_all) {
		if (!version_of(table)->watch && !bpfilter_attach_any(table->net))
			continue;
		visit(table);
		any = true;
	}
	mutex_unlock(&tables_mutex);
	return any;
}

bool bpfilter_table_any(void)
{
	return !list_empty_careful(&all_tables);
}

void bpfilter_table_list(struct net *net, u8 family, struct seq_file *seq)
{
	struct bpfilter_table *table;

	mutex_lock(&tables_mutex);
	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		if (table->family == family)
			seq_printf(seq, "%s\n", table->name);
	mutex_unlock(&tables_mutex);
}

/* Devices are watched where any table asked for it. */
static void update_watch(struct net *net)
{
	const bool watched = bpfilter_net(net)->watch;
	struct bpfilter_table *table;
	bool watch = false;

	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		watch |= version_of(table)->watch;
	WRITE_ONCE(bpfilter_net(net)->watch, watch);
	if (watch)
		bpfilter_watch_start();
	/* What devices do for it, the helper sees to behind its answer. */
	if (watch || watched)
		bpfilter_tell_again(net);
}

/* May rules of it be decided at XDP? */
static bool is_early(const struct bpfilter_table *table)
{
	return table->family == NFPROTO_IPV4 && !strcmp(table->name, "filter");
}

static void free_unused(struct bpfilter_table *table)
{
	free_percpu(table->drops);
	kfree(table);
}

/* A table with rules holds the module, once, as it holds that of ip_tables. */
static bool pin(const struct bpfilter_version *old, const struct bpfilter_version *new)
{
	return !new->pin || (old && old->pin) || try_module_get(THIS_MODULE);
}

static void unpin(const struct bpfilter_version *old, const struct bpfilter_version *new)
{
	if (old && old->pin && !(new && new->pin))
		module_put(THIS_MODULE);
}

/* The instances become the version's, where packets find them, or go back. */
static void move_instances(struct bpfilter_request *request, struct bpfilter_version *version)
{
	swap(request->instances, version->instances);
}

/* The payload becomes the version's: what a successor of the helper will be told. */
static void take_payload(struct bpfilter_version *version, struct bpfilter_request *request)
{
	version->request_flags = request->header.flags;
	if (request->header.opcode != BPFILTER_OP_REPLACE)
		return;
	version->payload = request->body;
	version->payload_length = request->body_length;
	request->body = NULL;
	/* The name of the table is still needed. */
	bpfilter_request_set_head(request, version->payload, BPFILTER_TABLE_NAME_LEN);
}

static struct bpfilter_table *new_table(struct bpfilter_request *request,
					const struct bpfilter_commit *commit)
{
	struct bpfilter_table *table = kzalloc(sizeof(*table), GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!table)
		return NULL;
	table->net = request->net;
	table->family = request->header.family;
	strscpy(table->name, commit->table, sizeof(table->name));
	if (is_early(table)) {
		table->drops = alloc_percpu_gfp(u64, GFP_KERNEL_ACCOUNT);
		if (!table->drops) {
			kfree(table);
			return NULL;
		}
	}
	table->hook_count = commit->hook_count;
	for (i = 0; i < commit->hook_count; i++)
		bpfilter_hook_describe(table, i, &commit->hook[i]);
	return table;
}

/* Its hooks could not all be had: some may have been there for a while. It is in no list. */
static void undo_table(struct bpfilter_table *table, struct bpfilter_request *request,
		       struct bpfilter_version *version)
{
	synchronize_rcu();
	move_instances(request, version);
	bpfilter_queue_uncommit(request);
	bpfilter_watch_mark(request->net);
	unpin(version, NULL);
	free_unused(table);
}

/* With an error and a table: to be undone, which takes its time, without the mutex. */
static int create_table(struct bpfilter_request *request, const struct bpfilter_commit *commit,
			struct bpfilter_version *version, struct bpfilter_table **undo)
{
	struct bpfilter_table *table;
	int error;

	table = new_table(request, commit);
	if (!table)
		return -ENOMEM;
	if (!pin(NULL, version)) {
		error = -ECANCELED;
		goto err_pin;
	}
	error = bpfilter_queue_commit(request);
	if (error)
		goto err_commit;
	move_instances(request, version);
	rcu_assign_pointer(table->version, version);
	/* Its hooks may come before INPUT. */
	if (table->family == NFPROTO_IPV4)
		bpfilter_guard_disturb(request->net);
	error = bpfilter_hook_register(table);
	if (error) {
		*undo = table;
		return error;
	}
	take_payload(version, request);
	list_add(&table->in_net, &bpfilter_net(request->net)->tables);
	list_add_tail(&table->in_all, &all_tables);
	update_watch(request->net);
	return 0;

err_commit:
	unpin(version, NULL);
err_pin:
	free_unused(table);
	return error;
}

static bool has_same_hooks(const struct bpfilter_table *table, const struct bpfilter_commit *commit)
{
	u32 i, j;

	if (table->hook_count != commit->hook_count)
		return false;
	/* The hooks of a commit are different ones, so this is equality of two sets. */
	for (i = 0; i < commit->hook_count; i++) {
		for (j = 0; j < table->hook_count; j++)
			if (table->hook[j].hooknum == commit->hook[i].hook &&
			    table->hook[j].priority == commit->hook[i].priority &&
			    table->hook_flags[j] == commit->hook[i].flags)
				break;
		if (j == table->hook_count)
			return false;
	}
	return true;
}

static int swap_version(struct bpfilter_table *table, struct bpfilter_request *request,
			const struct bpfilter_commit *commit, struct bpfilter_version *version)
{
	struct bpfilter_version *old = version_of(table);
	int error;

	/* First contents never take the place of rules: this helper does not know them. */
	if (request->header.opcode != BPFILTER_OP_REPLACE)
		return -EEXIST;
	if (!has_same_hooks(table, commit))
		return -EINVAL;
	if (!pin(old, version))
		return -ECANCELED;
	error = bpfilter_queue_commit(request);
	if (error) {
		unpin(version, old);
		return error;
	}
	take_payload(version, request);
	move_instances(request, version);
	/* Behind the grace period no packet is decided by the old rules, nor counted in them. */
	if (is_early(table))
		bpfilter_guard_disturb(table->net);
	rcu_assign_pointer(table->version, version);
	update_watch(table->net);
	unpin(old, version);
	bpfilter_charge_retire(&old->charge);
	request->retired = old;
	return 0;
}

/* What of the request stays with the version, here and at the helper. */
static unsigned long bytes_of(const struct bpfilter_request *request)
{
	if (request->header.opcode != BPFILTER_OP_REPLACE)
		return 0;
	return request->body_length + request->instance_bytes;
}

int bpfilter_table_commit(struct bpfilter_request *request,
			  const struct bpfilter_commit_records *records)
{
	struct bpfilter_version *version = bpfilter_version_new(records, request->header.family);
	const struct bpfilter_commit *commit = &records->commit;
	struct bpfilter_table *table, *undo = NULL;
	int error;

	if (IS_ERR(version))
		return PTR_ERR(version);

	mutex_lock(&tables_mutex);
	table = find_table(request->net, request->header.family, commit->table);
	error = bpfilter_version_charge(version, bpfilter_net(request->net)->keeper,
					bytes_of(request), table ? version_of(table) : NULL);
	if (!error && table)
		error = swap_version(table, request, commit, version);
	else if (!error)
		error = create_table(request, commit, version, &undo);
	mutex_unlock(&tables_mutex);

	if (undo)
		undo_table(undo, request, version);
	if (error)
		bpfilter_version_put(version);
	else if (table)
		/* A process waits for it: not the leisurely kind. */
		synchronize_rcu_expedited();
	return error;
}

static int add_replay(struct bpfilter_table *table, struct list_head *replays)
{
	struct bpfilter_version *version = version_of(table);
	struct net *net = maybe_get_net(table->net);
	struct bpfilter_request *request;

	if (!net)
		return 0;
	if (version->deaths >= REPLAYS_MAX) {
		pr_warn_ratelimited("helpers died of table %s: the next one is not told of it\n",
				    table->name);
		version->deaths = 0;
		put_net(net);
		return 0;
	}
	request = bpfilter_request_new(BPFILTER_OP_REPLAY, net, table->family);
	if (!request)
		return -ENOMEM;
	request->header.flags = version->request_flags;
	request->version = bpfilter_version_get(version);
	request->body_length = version->payload_length;
	bpfilter_request_set_head(request, table->name, sizeof(table->name));
	list_add_tail(&request->list, replays);
	return 0;
}

int bpfilter_table_replays(struct list_head *replays)
{
	struct bpfilter_table *table;
	int error = 0;

	mutex_lock(&tables_mutex);
	list_for_each_entry(table, &all_tables, in_all) {
		error = add_replay(table, replays);
		if (error)
			break;
	}
	mutex_unlock(&tables_mutex);
	return error;
}

/* Nobody can commit to this namespace any more: a request would hold a reference to it. */
void bpfilter_table_unhook(struct net *net)
{
	struct bpfilter_table *table;

	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		bpfilter_hook_unregister(table);
}

/* The REPLACE tells, for callers of both kinds at the same place; first contents are known. */
static u32 entries_of(const struct bpfilter_table *table, const struct bpfilter_version *version)
{
	const struct ipt_replace *replace = version->payload;

	return replace ? replace->num_entries : table->hook_count + 1;
}

static void free_table(struct bpfilter_table *table)
{
	struct bpfilter_version *version;

	mutex_lock(&tables_mutex);
	version = version_of(table);
	list_del(&table->in_net);
	list_del(&table->in_all);
	mutex_unlock(&tables_mutex);
	/* It may wait for whoever reads the records, so nobody must wait for us. */
	audit_log_nfcfg(table->name, table->family, entries_of(table, version),
			AUDIT_XT_OP_UNREGISTER, GFP_KERNEL);
	unpin(version, NULL);
	bpfilter_version_end(version);
	bpfilter_version_put(version);
	free_unused(table);
}

void bpfilter_table_free(struct net *net)
{
	struct bpfilter_table *table, *next;

	list_for_each_entry_safe(table, next, &bpfilter_net(net)->tables, in_net)
		free_table(table);
}
