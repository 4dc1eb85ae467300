// SPDX-License-Identifier: GPL-2.0
#include <net/net_namespace.h>

#include "base/keep.h"
#include "base/netns.h"
#include "packet/hook.h"
#include "packet/table.h"
#include "pernet.h"
#include "request/queue.h"
#include "request/tell.h"
#include "request/turn.h"
#include "xdp/attach.h"
#include "xdp/watch.h"

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
	bpfilter_hook_end(net);
}

/* A grace period later: the core sees to that. */
static void __net_exit net_exit(struct net *net)
{
	bpfilter_table_end(net);
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
	.id = &bpfilter_net_id,
	.size = sizeof(struct bpfilter_net),
};

int bpfilter_pernet_init(void)
{
	return register_pernet_subsys(&net_ops);
}

void bpfilter_pernet_exit(void)
{
	unregister_pernet_subsys(&net_ops);
}
