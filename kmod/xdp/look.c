// SPDX-License-Identifier: GPL-2.0
#include <linux/etherdevice.h>
#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>

#include <bpfilter/xdp.h>

#include "base/netns.h"
#include "base/settings.h"
#include "xdp/attach.h"
#include "xdp/device.h"
#include "xdp/early.h"
#include "xdp/look.h"
#include "xdp/watch.h"

#define PATIENCE (HZ / 2)

/* What is collected under RTNL, and copied to the helper without. */
struct view {
	struct bpfilter_look_device device[BPFILTER_LINKS_MAX];
	struct bpfilter_look_address address[BPFILTER_ADDRESSES_MAX];
	struct bpfilter_look_link link[BPFILTER_LINKS_MAX];
	u32 address_count;
	u32 address_room;
	u32 link_room;
};

static void look_at_device(struct net *net, struct bpfilter_look_device *seen)
{
	const struct net_device *device = __dev_get_by_name(net, seen->name);

	memset_after(seen, 0, name);
	/* Devices have other names too, which no rule means. */
	if (!device || strcmp(device->name, seen->name)) {
		seen->unfit = BPFILTER_UNFIT_ABSENT;
		return;
	}
	seen->index = device->ifindex;
	seen->mode = bpfilter_attach_mode(device);
	seen->unfit = bpfilter_device_unfit(device);
	seen->flags = bpfilter_device_flags(device);
	bpfilter_watch_unfit(net, seen);
	if (device->addr_len == ETH_ALEN)
		ether_addr_copy(seen->address, device->dev_addr);
}

/* Does a packet to this address come to INPUT? By the route that has a prefix of that length. */
static bool is_local(struct net *net, __be32 address, u8 length)
{
	struct flowi4 flow = {
		.daddr = address,
		.flowi4_iif = net->loopback_dev->ifindex,
		.flowi4_scope = RT_SCOPE_UNIVERSE,
	};
	struct fib_result result;
	bool local;

	rcu_read_lock();
	local = !fib_lookup(net, &flow, &result, FIB_LOOKUP_NOREF) && result.type == RTN_LOCAL &&
		result.prefixlen == length;
	rcu_read_unlock();
	return local;
}

static int add_address(struct view *view, __be32 address, u8 length, bool local)
{
	struct bpfilter_look_address *seen;

	if (view->address_count >= view->address_room)
		return -E2BIG;
	seen = &view->address[view->address_count++];
	memcpy(seen->address, &address, sizeof(seen->address));
	seen->length = length;
	seen->local = local;
	return 0;
}

/* By the route of the last address but one, since the first and the last may have their own. */
static bool is_prefix_local(struct net *net, __be32 prefix, __be32 mask, u8 length)
{
	return is_local(net, htonl(ntohl(prefix | ~mask) - 1), length);
}

/* On loopback all of an address' prefix is local too, if there is such a route. */
static int look_at_addresses(struct net *net, const struct net_device *device, struct view *view)
{
	const struct in_device *in_device = __in_dev_get_rtnl(device);
	const struct in_ifaddr *address;
	int error = 0;

	if (!in_device)
		return 0;
	in_dev_for_each_ifa_rtnl(address, in_device) {
		const __be32 prefix = address->ifa_address & address->ifa_mask;

		error = add_address(view, address->ifa_local, 32,
				    is_local(net, address->ifa_local, 32));
		if (!error && (device->flags & IFF_LOOPBACK) && address->ifa_prefixlen < 32)
			error = add_address(view, prefix, address->ifa_prefixlen,
					    is_prefix_local(net, prefix, address->ifa_mask,
							    address->ifa_prefixlen));
		if (error)
			break;
	}
	return error;
}

static int look_at_all_addresses(struct net *net, struct view *view)
{
	const struct net_device *device;
	int error = 0;

	for_each_netdev(net, device) {
		error = look_at_addresses(net, device, view);
		if (error)
			break;
	}
	return error;
}

/* Is there a device that may get a program? */
static bool may_drop_early(const struct view *view, u32 count)
{
	const u32 mode = bpfilter_get_settings().xdp;
	u32 i;

	if (mode == BPFILTER_XDP_OFF)
		return false;
	for (i = 0; i < count; i++)
		if (view->device[i].unfit == BPFILTER_FIT &&
		    (mode != BPFILTER_XDP_AUTO ||
		     (view->device[i].flags & BPFILTER_DEVICE_GENTLE)))
			return true;
	return false;
}

/*
 * Anybody can keep RTNL busy, with devices of his own that move: who waited in its line would be
 * taken for hung, and his namespace's requests wait behind.
 */
static int lock_patiently(void)
{
	const unsigned long until = jiffies + PATIENCE;

	while (!rtnl_trylock()) {
		if (time_after(jiffies, until) || fatal_signal_pending(current))
			return -EBUSY;
		schedule_timeout_killable(1);
	}
	return 0;
}

static int look_around(struct net *net, struct bpfilter_look *look, struct view *view)
{
	int error = lock_patiently();
	u32 i;

	if (error)
		return error;
	view->address_count = 0;
	/* What happens behind this makes the look old. */
	look->hidden = bpfilter_watch_hidden(net, &look->generation);
	for (i = 0; i < look->device_count; i++)
		look_at_device(net, &view->device[i]);
	look->link_count = bpfilter_attach_list(net, view->link, view->link_room);
	/* Of no use to anybody else. */
	if (!look->hidden && (look->link_count || may_drop_early(view, look->device_count)))
		error = look_at_all_addresses(net, view);
	rtnl_unlock();
	look->address_count = view->address_count;
	return error;
}

static int copy_names(struct view *view, const struct bpfilter_look *look)
{
	u32 i;

	if (copy_from_user(view->device, u64_to_user_ptr(look->devices),
			   look->device_count * sizeof(view->device[0])))
		return -EFAULT;
	for (i = 0; i < look->device_count; i++)
		if (strnlen(view->device[i].name, IFNAMSIZ) == IFNAMSIZ)
			return -EINVAL;
	return 0;
}

static int copy_out(const struct view *view, const struct bpfilter_look *look)
{
	if (copy_to_user(u64_to_user_ptr(look->devices), view->device,
			 look->device_count * sizeof(view->device[0])) ||
	    copy_to_user(u64_to_user_ptr(look->addresses), view->address,
			 look->address_count * sizeof(view->address[0])) ||
	    copy_to_user(u64_to_user_ptr(look->links), view->link,
			 look->link_count * sizeof(view->link[0])))
		return -EFAULT;
	return 0;
}

int bpfilter_look(struct net *net, struct bpfilter_look *look)
{
	struct view *view;
	int error;

	BUILD_BUG_ON(sizeof_field(struct bpfilter_look_device, name) != IFNAMSIZ);
	if (look->device_count > BPFILTER_LINKS_MAX ||
	    look->address_count > BPFILTER_ADDRESSES_MAX || look->link_count > BPFILTER_LINKS_MAX)
		return -EINVAL;
	view = kvzalloc(sizeof(*view), GFP_KERNEL);
	if (!view)
		return -ENOMEM;
	view->address_room = look->address_count;
	view->link_room = look->link_count;
	error = copy_names(view, look);
	if (!error)
		error = look_around(net, look, view);
	/* A change of routing could pass unheard. */
	if (!error && may_drop_early(view, look->device_count) &&
	    !bpfilter_net_hears_routes(net)) {
		error = bpfilter_watch_routes(net);
		/* They may have changed before they were heard. */
		if (!error)
			error = look_around(net, look, view);
	}
	if (!error)
		error = copy_out(view, look);
	kvfree(view);
	return error;
}
