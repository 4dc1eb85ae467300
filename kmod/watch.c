// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <net/net_namespace.h>

#include "netns.h"
#include "queue.h"
#include "request.h"
#include "watch.h"

static void changed(struct net *net)
{
	struct bf_request *request;

	if (!READ_ONCE(bf_net(net)->watch))
		return;
	/* The devices of a namespace that is going change too. */
	net = maybe_get_net(net);
	if (!net)
		return;
	request = bf_request_new(BPFILTER_OP_DEVICES, net, NFPROTO_UNSPEC);
	if (request)
		bf_queue_notify(request);
	else
		pr_warn_ratelimited("no memory to tell the helper that devices changed\n");
}

static int device_changed(struct notifier_block *block, unsigned long event, void *info)
{
	switch (event) {
	case NETDEV_REGISTER:
	case NETDEV_UNREGISTER:
	case NETDEV_CHANGENAME:
	case NETDEV_UP:
	case NETDEV_DOWN:
		changed(dev_net(netdev_notifier_info_to_dev(info)));
	}
	return NOTIFY_DONE;
}

static int address_changed(struct notifier_block *block, unsigned long event, void *info)
{
	const struct in_ifaddr *address = info;

	changed(dev_net(address->ifa_dev->dev));
	return NOTIFY_DONE;
}

static struct notifier_block device_block = { .notifier_call = device_changed };
static struct notifier_block address_block = { .notifier_call = address_changed };

int bf_watch_init(void)
{
	int error = register_netdevice_notifier(&device_block);

	if (error)
		return error;
	error = register_inetaddr_notifier(&address_block);
	if (error)
		unregister_netdevice_notifier(&device_block);
	return error;
}

void bf_watch_exit(void)
{
	unregister_inetaddr_notifier(&address_block);
	unregister_netdevice_notifier(&device_block);
}
