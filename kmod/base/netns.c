// SPDX-License-Identifier: GPL-2.0
#include <linux/compiler.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "base/netns.h"

unsigned int bpfilter_net_id;

struct bpfilter_net *bpfilter_net(const struct net *net)
{
	return net_generic(net, bpfilter_net_id);
}

bool bpfilter_net_has_links(const struct net *net)
{
	return READ_ONCE(bpfilter_net(net)->links.count);
}

bool bpfilter_net_hears_routes(const struct net *net)
{
	return READ_ONCE(bpfilter_net(net)->routes);
}
