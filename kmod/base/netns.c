// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "base/keep.h"
#include "base/netns.h"
#include "packet/table.h"
#include "request/queue.h"
#include "request/request.h"
#include "xdp/watch.h"

static unsigned int net_id;

struct bpfilter_net *bpfilter_net(const struct net *net)
{
	return net_generic(net, net_id);
}

static int find_keeper(struct net *net)
{
	struct bpfilter_keeper *keeper = bpfilter_keeper_get(net);

	if (IS_ERR(keeper))
		return PTR_ERR(keeper);
	/* Two of its callers may be the first. */
	if (cmpxchg(&bpfilter_net(net)->keeper, NULL, keeper))
		bpfilter_keeper_put(keeper);
	return 0;
}

int bpfilter_net_prepare(struct net *net)
{
	struct bpfilter_request *gone;
	int error;

	if (bpfilter_net(net)->gone)
		return 0;
	error = find_keeper(net);
	if (error)
		return error;
	gone = bpfilter_request_new(BPFILTER_OP_NETNS_GONE, NULL, NFPROTO_UNSPEC);
	if (!gone)
		return -ENOMEM;
	gone->header.netns = net->net_cookie;
	if (cmpxchg(&bpfilter_net(net)->gone, NULL, gone))
		bpfilter_request_put(gone);
	return 0;
}

static int __net_init net_init(struct net *net)
{
	INIT_LIST_HEAD(&bpfilter_net(net)->tables);
	bpfilter_line_init(&bpfilter_net(net)->line, net);
	bpfilter_news_init(&bpfilter_net(net)->news, net);
	bpfilter_links_init(&bpfilter_net(net)->links);
	bpfilter_net(net)->net = net;
	mutex_init(&bpfilter_net(net)->routes_mutex);
	return 0;
}

static void __net_exit net_pre_exit(struct net *net)
{
	bpfilter_watch_end(net);
	bpfilter_attach_end(net);
	bpfilter_table_unhook(net);
}

/* A grace period later: the core sees to that. */
static void __net_exit net_exit(struct net *net)
{
	bpfilter_table_free(net);
	/* Until now who visits tables may have marked it. */
	bpfilter_news_exit(&bpfilter_net(net)->news);
	if (bpfilter_net(net)->gone)
		bpfilter_queue_notify(bpfilter_net(net)->gone);
	bpfilter_keeper_put(bpfilter_net(net)->keeper);
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.pre_exit = net_pre_exit,
	.exit = net_exit,
	.id = &net_id,
	.size = sizeof(struct bpfilter_net),
};

int bpfilter_netns_init(void)
{
	return register_pernet_subsys(&net_ops);
}

void bpfilter_netns_exit(void)
{
	unregister_pernet_subsys(&net_ops);
}
