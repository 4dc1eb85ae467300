// SPDX-License-Identifier: GPL-2.0
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/workqueue.h>
#include <net/fib_notifier.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>

#include "base/netns.h"
#include "base/settings.h"
#include "packet/table.h"
#include "request/tell.h"
#include "xdp/attach.h"
#include "xdp/device.h"
#include "xdp/early.h"
#include "xdp/guard.h"
#include "xdp/watch.h"

#define WATCH_PERIOD HZ
/* Devices that did not qualify, for reasons of which nobody tells that they are gone. */
#define UNFIT_PERIOD (5 * HZ)

static void look(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look);

static bool is_watched(struct net *net)
{
	return READ_ONCE(bpfilter_net(net)->watch) || bpfilter_net_has_links(net);
}

void bpfilter_watch_mark(struct net *net)
{
	if (is_watched(net))
		bpfilter_tell_again(net);
}

static void moved(struct net *net)
{
	if (is_watched(net))
		bpfilter_tell_moved(net);
}

/* netfilter tells nobody when hooks come and go. Have they? */
static bool look_at_hooks(struct net *net)
{
	const unsigned int early = bpfilter_early_hooks(net);

	if (early == READ_ONCE(bpfilter_net(net)->early_hooks))
		return false;
	bpfilter_guard_disturb(net);
	WRITE_ONCE(bpfilter_net(net)->early_hooks, early);
	return true;
}

u32 bpfilter_watch_hidden(struct net *net, u64 *generation)
{
	WRITE_ONCE(bpfilter_net(net)->look_again, 0);
	look_at_hooks(net);
	*generation = bpfilter_guard_generation(net);
	/*
	 * Again: what the poll has seen until now is in the generation, and will not be news to it
	 * any more. What comes behind this will.
	 */
	return bpfilter_early_hooks(net) + !bpfilter_early_routing_is_plain(net);
}

void bpfilter_watch_unfit(struct net *net, const struct bpfilter_look_device *seen)
{
	if (seen->unfit != BPFILTER_UNFIT_INGRESS && seen->unfit != BPFILTER_UNFIT_TAGS)
		return;
	if (bpfilter_get_settings().xdp == BPFILTER_XDP_AUTO &&
	    !(seen->flags & BPFILTER_DEVICE_GENTLE))
		return;
	WRITE_ONCE(bpfilter_net(net)->look_again, (jiffies + UNFIT_PERIOD) | 1);
}

/* What INPUT drops, which does not tell on which device: the helper finds out. */
static bool is_flooded(struct bpfilter_table *table, u32 rate)
{
	const unsigned long elapsed = jiffies - table->drops_looked;
	u64 sum = 0, drops;
	int cpu;

	if (!table->drops)
		return false;
	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(table->drops, cpu));
	drops = sum - table->drops_seen;
	table->drops_seen = sum;
	table->drops_looked = jiffies;
	return drops * HZ >= (u64)rate * max(elapsed, 1UL);
}

static void look_at_table(struct bpfilter_table *table)
{
	const struct bpfilter_settings settings = bpfilter_get_settings();
	const unsigned long again = READ_ONCE(bpfilter_net(table->net)->look_again);
	bool news = is_flooded(table, settings.rate);

	/* A flood that is over ends a link. */
	if (settings.xdp != BPFILTER_XDP_AUTO)
		news = false;
	else if (bpfilter_net_has_links(table->net))
		news = true;
	news |= again && time_after(jiffies, again);
	/* By itself nothing waits for them to go. */
	if (bpfilter_table_is_early(table) &&
	    (settings.xdp != BPFILTER_XDP_AUTO || bpfilter_net_has_links(table->net)))
		news |= look_at_hooks(table->net);
	if (news)
		bpfilter_watch_mark(table->net);
}

void bpfilter_watch_start(void)
{
	schedule_delayed_work(&look_work, WATCH_PERIOD);
}

static void look(struct work_struct *work)
{
	const bool tables = bpfilter_table_each_watched(look_at_table);

	if (bpfilter_guard_poll(bpfilter_watch_mark) || tables)
		bpfilter_watch_start();
}

static void mark_of(struct bpfilter_table *table)
{
	bpfilter_watch_mark(table->net);
}

void bpfilter_watch_all(void)
{
	bpfilter_table_each_watched(mark_of);
}

static void disturb_of(struct bpfilter_table *table)
{
	bpfilter_guard_disturb(table->net);
	bpfilter_watch_mark(table->net);
}

void bpfilter_watch_settings(void)
{
	bpfilter_table_each_watched(disturb_of);
}

static bool has_addresses(const struct net_device *device)
{
	const struct in_device *in_device = __in_dev_get_rtnl(device);

	return in_device && rcu_access_pointer(in_device->ifa_list);
}

/*
 * What becomes of a device concerns its own program; of one that has addresses, those of all
 * others too: the addresses come or go with it.
 */
static int device_changed(struct notifier_block *block, unsigned long event, void *info)
{
	const struct net_device *device = netdev_notifier_info_to_dev(info);
	const struct net_device *peer = NULL;

	switch (event) {
	case NETDEV_UNREGISTER:
		bpfilter_attach_leave(device);
		break;
	case NETDEV_REGISTER:
	case NETDEV_CHANGENAME:
	case NETDEV_PRE_CHANGEADDR:
	case NETDEV_CHANGEADDR:
	case NETDEV_PRECHANGEUPPER:
	case NETDEV_CHANGEUPPER:
	case NETDEV_JOIN:
	case NETDEV_PRE_TYPE_CHANGE:
	case NETDEV_FEAT_CHANGE:
	case NETDEV_UP:
	case NETDEV_GOING_DOWN:
	case NETDEV_DOWN:
		bpfilter_guard_disturb_device(device);
		break;
	default:
		return NOTIFY_DONE;
	}
	if (event == NETDEV_FEAT_CHANGE)
		peer = bpfilter_device_peer(device);
	else if (has_addresses(device))
		bpfilter_guard_disturb(dev_net(device));
	moved(dev_net(device));
	if (peer) {
		bpfilter_guard_disturb_device(peer);
		/* Who has this end does not make the namespace of the other restless. */
		bpfilter_watch_mark(dev_net(peer));
	}
	return NOTIFY_DONE;
}

static int address_changed(struct notifier_block *block, unsigned long event, void *info)
{
	const struct in_ifaddr *address = info;
	struct net *net = dev_net(address->ifa_dev->dev);

	bpfilter_guard_disturb(net);
	moved(net);
	return NOTIFY_DONE;
}

/* In RCU. Other routes than local ones are asked for by the programs themselves. */
static int routing_changed(struct notifier_block *block, unsigned long event, void *info)
{
	const struct bpfilter_net *own = container_of(block, struct bpfilter_net, fib);
	const struct fib_notifier_info *what = info;

	if (what->family != AF_INET || !READ_ONCE(own->routes))
		return NOTIFY_DONE;
	switch (event) {
	case FIB_EVENT_RULE_ADD:
	case FIB_EVENT_RULE_DEL:
		break;
	case FIB_EVENT_ENTRY_REPLACE:
	case FIB_EVENT_ENTRY_APPEND:
	case FIB_EVENT_ENTRY_ADD:
	case FIB_EVENT_ENTRY_DEL:
		if (container_of(what, struct fib_entry_notifier_info, info)->tb_id ==
		    RT_TABLE_LOCAL)
			break;
		fallthrough;
	default:
		return NOTIFY_DONE;
	}
	bpfilter_guard_disturb(own->net);
	moved(own->net);
	return NOTIFY_DONE;
}

/* All routes that are there come by first, which are not news. */
int bpfilter_watch_routes(struct net *net)
{
	struct bpfilter_net *own = bpfilter_net(net);
	int error = 0;

	/* They may be many: nobody of another namespace waits behind us. */
	mutex_lock(&own->routes_mutex);
	if (!own->routes) {
		own->fib.notifier_call = routing_changed;
		error = register_fib_notifier(net, &own->fib, NULL, NULL);
		if (!error)
			WRITE_ONCE(own->routes, true);
	}
	mutex_unlock(&own->routes_mutex);
	return error;
}

/* Nobody is in the other: who asks holds the namespace. */
void bpfilter_watch_end(struct net *net)
{
	struct bpfilter_net *own = bpfilter_net(net);

	if (own->routes)
		unregister_fib_notifier(net, &own->fib);
	own->routes = false;
}

/* Before those by which routing hears of it. */
static struct notifier_block device_block = {
	.notifier_call = device_changed,
	.priority = INT_MAX,
};

static struct notifier_block address_block = {
	.notifier_call = address_changed,
	.priority = INT_MAX,
};

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
