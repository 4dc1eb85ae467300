// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <net/net_namespace.h>

#include "base/keep.h"
#include "base/netns.h"
#include "request/known.h"
#include "request/request.h"

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

int bpfilter_known_prepare(struct net *net)
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
