/* SPDX-License-Identifier: GPL-2.0 */
/* Whether what comes in on a device is what its frames say: may they be judged at XDP? */
#ifndef KMOD_XDP_DEVICE_H
#define KMOD_XDP_DEVICE_H

#include <linux/types.h>

#include <bpfilter/xdp.h>

struct net_device;

/* All under RTNL. */
/* The other end of a veth, or NULL. */
const struct net_device *bpfilter_device_peer(const struct net_device *device);
enum bpfilter_unfit bpfilter_device_unfit(const struct net_device *device);
/* BPFILTER_DEVICE_* */
u8 bpfilter_device_flags(const struct net_device *device);

#endif /* KMOD_XDP_DEVICE_H */
