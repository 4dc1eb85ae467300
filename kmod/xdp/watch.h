/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Surroundings: what decides what may be done at XDP. Whatever happens to them clears guards
 * (attach.h) at once, and is told to the helper, with OP_DEVICES, soon: devices, local
 * addresses and routing from notifiers; hooks, which nobody tells of, and floods of dropped
 * packets, once a second.
 */
#ifndef KMOD_XDP_WATCH_H
#define KMOD_XDP_WATCH_H

#include <linux/types.h>

struct bpfilter_look_device;
struct net;

/*
 * bpfilter_look.hidden, and the generation of a look that goes on from here; as it is now is what
 * the helper knows. Under RTNL.
 */
u32 bpfilter_watch_hidden(struct net *net, u64 *generation);
/* A device was seen: nobody will tell that it qualifies, if it does not for such a reason. */
void bpfilter_watch_unfit(struct net *net, const struct bpfilter_look_device *seen);
/*
 * From here on changes of routing are heard: no guard is set before. Sleeps, takes RTNL. Costs the
 * end of the namespace a grace period.
 */
int bpfilter_watch_routes(struct net *net);
/* The helper is to be told, if it is interested. In any context. */
void bpfilter_watch_mark(struct net *net);
/* A namespace is watched: look at it from time to time. */
void bpfilter_watch_start(void);
/* All namespaces that are watched are to be looked at: by another helper. */
void bpfilter_watch_all(void);
/* The same, by other settings, which hold from now on: nothing drops by the old ones. */
void bpfilter_watch_settings(void);
/* The namespace is going. */
void bpfilter_watch_end(struct net *net);

int bpfilter_watch_init(void);
void bpfilter_watch_exit(void);

#endif /* KMOD_XDP_WATCH_H */
