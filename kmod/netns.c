// SPDX-License-Identifier: GPL-2.0
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "netns.h"
#include "queue.h"
#include "request.h"
#include "table.h"

static unsigned int bf_net_id;

struct bf_net *bf_net(const struct net *net)
{
	return net_generic(net, bf_net_id);
}

int bf_net_prepare(struct net *net)
{
	struct bf_request *gone;

	if (bf_net(net)->gone)
		return 0;
	gone = bf_request_new(BPFILTER_OP_NETNS_GONE, NULL, NFPROTO_UNSPEC);
	if (!gone)
		return -ENOMEM;
	gone->header.netns = net->net_cookie;
	bf_net(net)->gone = gone;
	return 0;
}

static int __net_init net_init(struct net *net)
{
	INIT_LIST_HEAD(&bf_net(net)->tables);
	return 0;
}

static void __net_exit net_pre_exit(struct net *net)
{
	bf_table_unhook(net);
}

/* A grace period later: the core sees to that. */
static void __net_exit net_exit(struct net *net)
{
	bf_table_free(net);
	if (bf_net(net)->gone)
		bf_queue_notify(bf_net(net)->gone);
}

static struct pernet_operations bf_net_ops = {
	.init = net_init,
	.pre_exit = net_pre_exit,
	.exit = net_exit,
	.id = &bf_net_id,
	.size = sizeof(struct bf_net),
};

int bf_netns_init(void)
{
	return register_pernet_subsys(&bf_net_ops);
}

void bf_netns_exit(void)
{
	unregister_pernet_subsys(&bf_net_ops);
}
