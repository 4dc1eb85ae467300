/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tells the helper, with OP_DEVICES, when something changed that decides what may be done
 * at XDP: devices, local addresses, hooks ahead of INPUT.
 */
#ifndef BF_WATCH_H
#define BF_WATCH_H

#include <linux/types.h>

struct net;

/* BPFILTER_IOC_EARLY_HOOKS. */
unsigned int bf_watch_early_hooks(struct net *net);
/* A namespace is watched: look at its hooks from time to time. */
void bf_watch_start(void);
/* All namespaces that are watched, as if everything had changed. */
void bf_watch_all(void);

int bf_watch_init(void);
void bf_watch_exit(void);

#endif /* BF_WATCH_H */
