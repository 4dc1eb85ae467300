// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/device/driver.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/string.h>
#include <net/dsa.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "base/compat.h"
#include "xdp/device.h"

/*
 * Drivers whose devices keep their offloads and their traffic with native XDP, and gain from it.
 *   igb: a frame that passes costs it a twentieth more, one that is dropped a fifth less than at
 *        INPUT. It takes its queues down for a moment when a program comes or goes.
 * Not: veth, whose peer loses its offloads (nine times the cost of a stream), and what waits in
 * the ring; virtio_net, whose guest loses its own.
 */
static const char *const gentle[] = { "igb" };

static bool is_kind(const struct net_device *device, const char *kind)
{
	return device->rtnl_link_ops && !strcmp(device->rtnl_link_ops->kind, kind);
}

static bool is_loopback(const struct net_device *device)
{
	return device->flags & IFF_LOOPBACK;
}

/*
 * Loopback, veth, and hardware, real or of a hypervisor. Everything else that can be made may
 * pass frames on, or get them, in ways that are not to be seen from here: a bond has its slaves
 * run the program, for instance, the inactive ones too.
 */
static bool is_plain(const struct net_device *device)
{
	if (is_loopback(device))
		return true;
	if (device->type != ARPHRD_ETHER || device->addr_len != ETH_ALEN ||
	    !list_empty(&device->adj_list.lower) || netdev_uses_dsa(device))
		return false;
#if IS_ENABLED(CONFIG_CFG80211)
	if (device->ieee80211_ptr)
		return false;
#endif
	return device->rtnl_link_ops ? is_kind(device, "veth") : !!device->dev.parent;
}

/* Masters (bridge, bond, VRF, ...) are uppers too. */
static bool has_upper(const struct net_device *device)
{
	return !list_empty(&device->adj_list.upper) || rcu_access_pointer(device->rx_handler);
}

static bool has_ingress_hook(const struct net_device *device)
{
#ifdef CONFIG_NETFILTER_INGRESS
	if (rcu_access_pointer(device->nf_hooks_ingress))
		return true;
#endif
	return bpfilter_has_tc_ingress(device);
}

/* Does the device take tags off, and let any through? */
static bool strips(const struct net_device *device, netdev_features_t tag, netdev_features_t filter)
{
	return (device->features & tag) &&
	       (!(device->features & filter) || (device->flags & IFF_PROMISC));
}

const struct net_device *bpfilter_device_peer(const struct net_device *device)
{
	ASSERT_RTNL();
	if (!is_kind(device, "veth"))
		return NULL;
	return __dev_get_by_index(device->rtnl_link_ops->get_link_net(device),
				  dev_get_iflink(device));
}

/*
 * What one end of a veth sends, tag and all, the other gets. A tag is in the frame only if the
 * sender's end does not say that it could take it beside.
 */
static bool is_peer_plain(const struct net_device *device)
{
	const struct net_device *peer = bpfilter_device_peer(device);

	return peer && !(peer->features & (NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_STAG_TX));
}

/*
 * A tag that was taken off lies beside the packet, and no program sees it there. If it is of a
 * VLAN that nobody has, the packet never comes to INPUT.
 */
static bool may_hide_tags(const struct net_device *device)
{
	if (is_loopback(device))
		return false;
	if (is_kind(device, "veth"))
		return !is_peer_plain(device);
	return strips(device, NETIF_F_HW_VLAN_CTAG_RX, NETIF_F_HW_VLAN_CTAG_FILTER) ||
	       strips(device, NETIF_F_HW_VLAN_STAG_RX, NETIF_F_HW_VLAN_STAG_FILTER);
}

enum bpfilter_unfit bpfilter_device_unfit(const struct net_device *device)
{
	ASSERT_RTNL();
	if (!is_plain(device))
		return BPFILTER_UNFIT_KIND;
	if (!(device->flags & IFF_UP))
		return BPFILTER_UNFIT_DOWN;
	if (has_upper(device))
		return BPFILTER_UNFIT_UPPER;
	if (has_ingress_hook(device))
		return BPFILTER_UNFIT_INGRESS;
	if (may_hide_tags(device))
		return BPFILTER_UNFIT_TAGS;
	return BPFILTER_FIT;
}

static bool is_gentle(const struct net_device *device)
{
	const struct device *parent = device->dev.parent;
	/* Who takes it away has the device's lock, and not RTNL. */
	const struct device_driver *driver = parent ? READ_ONCE(parent->driver) : NULL;
	size_t i;

	if (device->rtnl_link_ops || !driver)
		return false;
	for (i = 0; i < ARRAY_SIZE(gentle); i++)
		if (!strcmp(driver->name, gentle[i]))
			return true;
	return false;
}

u8 bpfilter_device_flags(const struct net_device *device)
{
	return (is_loopback(device) ? BPFILTER_DEVICE_LOOPBACK : 0) |
	       (is_gentle(device) ? BPFILTER_DEVICE_GENTLE : 0);
}
