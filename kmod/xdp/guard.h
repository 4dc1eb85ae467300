/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guards: who knows first that something changes clears them: the notifiers (watch.c), under RTNL
 * or in RCU; and a COMMIT. A generation number counts these events, whether they cleared
 * anything or not, so that no guard is set for surroundings that are gone. What happens to one
 * device keeps no other from dropping: it may be done by who has the other end of a veth.
 */
#ifndef KMOD_XDP_GUARD_H
#define KMOD_XDP_GUARD_H

#include <linux/types.h>

struct net;
struct net_device;

/* Clear guards: of the namespace; of the device (in whatever context). */
void bpfilter_guard_disturb(struct net *net);
void bpfilter_guard_disturb_device(const struct net_device *device);
u64 bpfilter_guard_generation(struct net *net);
/*
 * What is told by no notifier: clears the guards of devices that do not qualify any more, and
 * visits their namespaces, in RCU. Sleeps. Is there any link?
 */
bool bpfilter_guard_poll(void (*visit)(struct net *net));

#endif /* KMOD_XDP_GUARD_H */
