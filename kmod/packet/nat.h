/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hooks of the nat core (BPFILTER_HOOK_NAT): it calls them for the first packet of a
 * connection, from hooks of its own. Its module is loaded for the first table that has
 * some, and held by their versions: who has no NAT rules need not have it.
 */
#ifndef KMOD_PACKET_NAT_H
#define KMOD_PACKET_NAT_H

#include <linux/types.h>

struct net;
struct nf_hook_ops;

/*
 * Loads and holds the nat core; ENOENT if there is none. Not under a lock that the end of
 * a namespace takes: loading waits for namespaces.
 */
int bpfilter_nat_get(u8 family);
void bpfilter_nat_put(u8 family);

/* While it is held. */
int bpfilter_nat_register(struct net *net, const struct nf_hook_ops *hook);
void bpfilter_nat_unregister(struct net *net, const struct nf_hook_ops *hook);

#endif /* KMOD_PACKET_NAT_H */
