/* SPDX-License-Identifier: GPL-2.0 */
/* What we keep for each network namespace. */
#ifndef KMOD_BASE_NETNS_H
#define KMOD_BASE_NETNS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/types.h>

#include "request/tell.h"
#include "request/turn.h"
#include "xdp/attach.h"

struct bpfilter_keeper;
struct bpfilter_request;
struct net;

struct bpfilter_net {
	struct bpfilter_line line; /* of its requests, under the lock of the queue */
	struct list_head tables; /* under the mutex of table.c */
	struct bpfilter_news news; /* of it, for the helper; tell.h */
	bool watch; /* tell the helper when devices change */
	struct net *net; /* it ends us */
	struct bpfilter_links links; /* attach.c */
	unsigned int early_hooks; /* as the helper last saw it; watch.c */
	unsigned long look_again; /* jiffies, or 0; watch.c */
	struct mutex routes_mutex; /* who registers fib; watch.c */
	bool routes; /* it is */
	struct notifier_block fib; /* watch.c */
	bool has_proc; /* proc.c made its files */
	struct bpfilter_keeper *keeper; /* who answers for its tables, NULL: nobody need */
	struct bpfilter_request *gone; /* NETNS_GONE, made when memory could still be had */
};

struct bpfilter_net *bpfilter_net(const struct net *net);
/* Before the helper hears of a namespace the first time: it must be told when that ends. */
int bpfilter_net_prepare(struct net *net);

int bpfilter_netns_init(void);
void bpfilter_netns_exit(void);

#endif /* KMOD_BASE_NETNS_H */
