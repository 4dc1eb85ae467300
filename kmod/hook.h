/* SPDX-License-Identifier: GPL-2.0 */
/* What a packet meets: the program of a table's version in force, at one hook. */
#ifndef KMOD_HOOK_H
#define KMOD_HOOK_H

#include <linux/netfilter.h>

/* `table` is a struct bpfilter_table. */
unsigned int bpfilter_hook(void *table, struct sk_buff *skb, const struct nf_hook_state *state);

#endif /* KMOD_HOOK_H */
