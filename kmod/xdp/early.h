/* SPDX-License-Identifier: GPL-2.0 */
/* What comes between the wire and INPUT of table filter, in a whole namespace. IPv4. */
#ifndef KMOD_XDP_EARLY_H
#define KMOD_XDP_EARLY_H

struct net;

/* BPFILTER_IOC_EARLY_HOOKS. */
unsigned int bpfilter_early_hooks(struct net *net);
/*
 * Is the table of local addresses what routing looks at first, for all packets, and not too much
 * behind it? Under RTNL.
 */
bool bpfilter_early_routing_is_plain(struct net *net);

#endif /* KMOD_XDP_EARLY_H */
