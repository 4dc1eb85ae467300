/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Namespaces that the helper hears of. It must be told when one ends, when there may be no memory
 * to tell it, and somebody answers for what is kept for it.
 */
#ifndef KMOD_REQUEST_KNOWN_H
#define KMOD_REQUEST_KNOWN_H

struct net;

/* Before it hears of the namespace the first time. */
int bpfilter_known_prepare(struct net *net);

#endif /* KMOD_REQUEST_KNOWN_H */
