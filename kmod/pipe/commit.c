// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <net/net_namespace.h>

#include "base/keep.h"
#include "base/netns.h"
#include "packet/hook.h"
#include "packet/table.h"
#include "packet/version.h"
#include "pipe/commit.h"
#include "request/outcome.h"
#include "request/request.h"
#include "request/tell.h"
#include "xdp/guard.h"
#include "xdp/watch.h"

/* Devices are watched where any table asked for it. */
static void update_watch(struct net *net)
{
	const bool watched = bpfilter_net(net)->watch;
	struct bpfilter_table *table;
	bool watch = false;

	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		watch |= bpfilter_table_version_of(table)->watch;
	WRITE_ONCE(bpfilter_net(net)->watch, watch);
	if (watch)
		bpfilter_watch_start();
	/* What devices do for it, the helper sees to behind its answer. */
	if (watch || watched)
		bpfilter_tell_again(net);
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

static void give_payload_back(struct bpfilter_version *version, struct bpfilter_request *request)
{
	if (request->header.opcode != BPFILTER_OP_REPLACE)
		return;
	swap(request->body, version->payload);
	request->head_length = 0;
}

static struct bpfilter_table *new_table(struct bpfilter_request *request,
					const struct bpfilter_commit *commit)
{
	struct bpfilter_table *table =
		bpfilter_table_new(request->net, request->header.family, commit->table);
	u32 i;

	if (!table)
		return NULL;
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
	give_payload_back(version, request);
	bpfilter_queue_uncommit(request);
	bpfilter_watch_mark(request->net);
	bpfilter_version_unpin(version, NULL);
	bpfilter_table_free(table);
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
	if (!bpfilter_version_pin(NULL, version)) {
		error = -ECANCELED;
		goto err_pin;
	}
	error = bpfilter_queue_commit(request);
	if (error)
		goto err_commit;
	take_payload(version, request);
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
	bpfilter_table_enter(table);
	update_watch(request->net);
	return 0;

err_commit:
	bpfilter_version_unpin(version, NULL);
err_pin:
	bpfilter_table_free(table);
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
	struct bpfilter_version *old = bpfilter_table_version_of(table);
	int error;

	/* First contents never take the place of rules: this helper does not know them. */
	if (request->header.opcode != BPFILTER_OP_REPLACE)
		return -EEXIST;
	if (!has_same_hooks(table, commit))
		return -EINVAL;
	if (!bpfilter_version_pin(old, version))
		return -ECANCELED;
	error = bpfilter_queue_commit(request);
	if (error) {
		bpfilter_version_unpin(version, old);
		return error;
	}
	take_payload(version, request);
	move_instances(request, version);
	/* Behind the grace period no packet is decided by the old rules, nor counted in them. */
	if (bpfilter_table_is_early(table))
		bpfilter_guard_disturb(table->net);
	rcu_assign_pointer(table->version, version);
	update_watch(table->net);
	bpfilter_version_unpin(old, version);
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

int bpfilter_commit_room(struct bpfilter_request *request, unsigned long bytes)
{
	const char *name = bpfilter_request_table(request);
	const struct bpfilter_version *old;
	struct bpfilter_table *table;
	int error;

	mutex_lock(&bpfilter_tables_mutex);
	table = bpfilter_table_find(request->net, request->header.family, name);
	old = table ? bpfilter_table_version_of(table) : NULL;
	error = bpfilter_keeper_room(bpfilter_net(request->net)->keeper, bytes + bytes_of(request),
				     bpfilter_version_account(old));
	mutex_unlock(&bpfilter_tables_mutex);
	return error;
}

int bpfilter_commit(struct bpfilter_request *request,
		    const struct bpfilter_commit_records *records)
{
	struct bpfilter_version *version = bpfilter_version_new(records, request->header.family);
	const struct bpfilter_commit *commit = &records->commit;
	struct bpfilter_table *table, *undo = NULL;
	int error;

	if (IS_ERR(version))
		return PTR_ERR(version);

	mutex_lock(&bpfilter_tables_mutex);
	table = bpfilter_table_find(request->net, request->header.family, commit->table);
	error = bpfilter_version_charge(version, bpfilter_net(request->net)->keeper,
					bytes_of(request),
					table ? bpfilter_table_version_of(table) : NULL);
	if (!error && table)
		error = swap_version(table, request, commit, version);
	else if (!error)
		error = create_table(request, commit, version, &undo);
	mutex_unlock(&bpfilter_tables_mutex);

	if (undo)
		undo_table(undo, request, version);
	if (error)
		bpfilter_version_put(version);
	else if (table)
		/* A process waits for it: not the leisurely kind. */
		synchronize_rcu_expedited();
	return error;
}
