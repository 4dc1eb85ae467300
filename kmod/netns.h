/* SPDX-License-Identifier: GPL-2.0 */
/* What we keep for each network namespace. */
#ifndef BF_NETNS_H
#define BF_NETNS_H

#include <linux/list.h>
#include <linux/types.h>

struct bf_request;
struct net;

struct bf_net {
	struct list_head tables; /* under the mutex of table.c */
	bool watch; /* tell the helper when devices change */
	unsigned int early_hooks; /* as the helper was last told to look at; watch.c */
	bool has_proc; /* proc.c made its files */
	struct bf_request *gone; /* NETNS_GONE, made when memory could still be had */
};

struct bf_net *bf_net(const struct net *net);
/* Before the first table of a namespace. */
int bf_net_prepare(struct net *net);

int bf_netns_init(void);
void bf_netns_exit(void);

#endif /* BF_NETNS_H */
