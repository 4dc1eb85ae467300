// SPDX-License-Identifier: GPL-2.0
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "netns.h"
#include "table.h"
#include "tell.h"
#include "watch.h"

#define WATCH_PERIOD HZ

static void changed(struct net *net)
{
	if (READ_ONCE(bpfilter_net(net)->watch))
		bpfilter_tell_moved(net);
}

/*
 * netfilter tells nobody when hooks come and go. Conntrack and what it needs for it leave
 * addresses as they are; anything else may be NAT, or drop.
 */
unsigned int bpfilter_watch_early_hooks(struct net *net)
{
	const struct nf_hook_entries *entries;
	unsigned int i, count = 0;

	rcu_read_lock();
	entries = rcu_dereference(net->nf.hooks_ipv4[NF_INET_PRE_ROUTING]);
	for (i = 0; entries && i < entries->num_hook_entries; i++) {
		switch (nf_hook_entries_get_hook_ops(entries)[i]->priority) {
		case NF_IP_PRI_CONNTRACK_DEFRAG:
		case NF_IP_PRI_CONNTRACK:
			break;
		default:
			count++;
		}
	}
	rcu_read_unlock();
	return count;
}

static void look_at_hooks(struct net *net)
{
	unsigned int count = bpfilter_watch_early_hooks(net);

	if (count == bpfilter_net(net)->early_hooks)
		return;
	bpfilter_net(net)->early_hooks = count;
	changed(net);
}

static void look(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look);

void bpfilter_watch_start(void)
{
	schedule_delayed_work(&look_work, WATCH_PERIOD);
}

static void look(struct work_struct *work)
{
	if (bpfilter_table_each_watched(look_at_hooks))
		bpfilter_watch_start();
}

void bpfilter_watch_all(void)
{
	bpfilter_table_each_watched(bpfilter_tell_again);
}

static int device_changed(struct notifier_block *block, unsigned long event, void *info)
{
	switch (event) {
	case NETDEV_REGISTER:
	case NETDEV_UNREGISTER:
	case NETDEV_CHANGENAME:
	case NETDEV_CHANGEADDR:
	case NETDEV_CHANGEUPPER:
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

int bpfilter_watch_init(void)
{
	int error = register_netdevice_notifier(&device_block);

	if (error)
		return error;
	error = register_inetaddr_notifier(&address_block);
	if (error)
		unregister_netdevice_notifier(&device_block);
	return error;
}

void bpfilter_watch_exit(void)
{
	unregister_inetaddr_notifier(&address_block);
	unregister_netdevice_notifier(&device_block);
	cancel_delayed_work_sync(&look_work);
	bpfilter_tell_exit();
}
