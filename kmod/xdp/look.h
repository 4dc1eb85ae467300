/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_XDP_LOOK_H
#define KMOD_XDP_LOOK_H

struct bpfilter_look;
struct net;

/* IOC_LOOK, in the helper's context. */
int bpfilter_look(struct net *net, struct bpfilter_look *look);

#endif /* KMOD_XDP_LOOK_H */
