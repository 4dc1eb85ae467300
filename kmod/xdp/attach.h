/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attachments: the XDP links of a namespace, and the guards of their programs (guard.h). The words
 * in <bpfilter/xdp.h> on IOC_ATTACH are its manual.
 */
#ifndef KMOD_XDP_ATTACH_H
#define KMOD_XDP_ATTACH_H

#include <linux/types.h>

#include <bpfilter/xdp.h>

struct bpfilter_links;
struct net;
struct net_device;

void bpfilter_links_init(struct bpfilter_links *links);

/* IOC_ATTACH and IOC_DETACH, in the helper's context, for the namespace of a request it has. */
int bpfilter_attach(struct net *net, const struct bpfilter_attach *attach);
int bpfilter_detach(struct net *net, u32 index);
/* The mode of the link of the device, under RTNL; OFF: it has none of ours. */
enum bpfilter_xdp_mode bpfilter_attach_mode(const struct net_device *device);
/* Those that there are, under RTNL; returns how many. */
u32 bpfilter_attach_list(struct net *net, struct bpfilter_look_link *link, u32 room);

/* The device leaves its namespace: it never drops again by what it has here. Under RTNL. */
void bpfilter_attach_leave(const struct net_device *device);

/* The namespace goes, or the module: all of its links too. */
void bpfilter_attach_end(struct net *net);
void bpfilter_attach_exit(void);

#endif /* KMOD_XDP_ATTACH_H */
