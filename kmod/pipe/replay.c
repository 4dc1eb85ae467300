// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/list.h>
#include <linux/printk.h>
#include <net/net_namespace.h>

#include "packet/table.h"
#include "packet/version.h"
#include "pipe/replay.h"
#include "request/request.h"

/*
 * A version that this many helpers died of is not replayed to the next, so that the others
 * are known to it. It may have been chance: should that one be asked for the table, its
 * attempt to create it shows, and another helper is started that is told again.
 */
#define REPLAYS_MAX 2

static int add(struct bpfilter_table *table, void *replays)
{
	struct bpfilter_version *version = bpfilter_table_version_of(table);
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

int bpfilter_replay_all(struct list_head *replays)
{
	return bpfilter_table_each(add, replays);
}
