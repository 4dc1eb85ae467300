/* SPDX-License-Identifier: GPL-2.0 */
/* What a packet meets: the program of a table's version in force, at one hook. */
#ifndef BF_HOOK_H
#define BF_HOOK_H

#include <linux/netfilter.h>

/* `table` is a struct bf_table. */
unsigned int bf_hook(void *table, struct sk_buff *skb, const struct nf_hook_state *state);

#endif /* BF_HOOK_H */
