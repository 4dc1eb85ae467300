/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tells the helper, with OP_DEVICES, when something changed that decides what may be done
 * at XDP: devices, local addresses, hooks ahead of INPUT.
 */
#ifndef KMOD_WATCH_H
#define KMOD_WATCH_H

#include <linux/types.h>

struct net;

/* BPFILTER_IOC_EARLY_HOOKS. */
unsigned int bpfilter_watch_early_hooks(struct net *net);
/* A namespace is watched: look at its hooks from time to time. */
void bpfilter_watch_start(void);
/* All namespaces that are watched, as if everything had changed. */
void bpfilter_watch_all(void);

int bpfilter_watch_init(void);
void bpfilter_watch_exit(void);

#endif /* KMOD_WATCH_H */
