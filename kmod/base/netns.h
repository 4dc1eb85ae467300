/* SPDX-License-Identifier: GPL-2.0 */
/* What we keep for each network namespace. Each part belongs to the file that it names. */
#ifndef KMOD_BASE_NETNS_H
#define KMOD_BASE_NETNS_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/types.h>

struct bpfilter_keeper;
struct bpfilter_request;
struct net;

/* Its requests, under the lock of the queue; request/turn.h. */
struct bpfilter_line {
	struct list_head requests; /* by bpfilter_request.in_line */
	struct list_head in_share; /* while it is ready: has requests, none is with the helper */
	u64 ready_since; /* a number that grows */
	unsigned int share;
	bool busy; /* a request of it is with the helper */
	bool heavy; /* the first of its requests is, while it is ready */
	struct bpfilter_request *devices; /* the notice about its devices that waits, or NULL */
};

/* What the helper is to be told of it, under the lock of request/tell.c. */
struct bpfilter_news {
	struct net *net; /* that it is of */
	struct list_head due; /* while the helper is to be told */
	unsigned long since; /* jiffies: when that began */
	unsigned long told; /* when it was told last */
	unsigned long moved; /* when something changed last */
	unsigned int restless; /* how often in a row something changed right behind that */
	bool has_moved; /* since it was told */
	bool unsettled; /* it was told so */
};

/* What we have at XDP, all under the lock of xdp/guard.c; xdp/attach.h. */
struct bpfilter_links {
	struct list_head attachments;
	unsigned int count;
	u64 generation; /* of the last event */
	u64 changed; /* of the last that concerned all devices */
};

struct bpfilter_net {
	struct bpfilter_line line;
	struct list_head tables; /* under the mutex of packet/table.c */
	struct bpfilter_news news;
	bool watch; /* tell the helper when devices change */
	struct net *net; /* it ends us */
	struct bpfilter_links links;
	unsigned int early_hooks; /* as the helper last saw it; xdp/watch.c */
	unsigned long look_again; /* jiffies, or 0; xdp/watch.c */
	struct mutex routes_mutex; /* who registers fib; xdp/watch.c */
	bool routes; /* it is */
	struct notifier_block fib; /* xdp/watch.c */
	bool has_proc; /* caller/proc.c made its files */
	struct bpfilter_keeper *keeper; /* who answers for its tables, NULL: nobody need */
	struct bpfilter_request *gone; /* request/known.h */
};

extern unsigned int bpfilter_net_id; /* kmod/pernet.c has it made */

struct bpfilter_net *bpfilter_net(const struct net *net);
bool bpfilter_net_has_links(const struct net *net);
/* Are changes of routing heard? */
bool bpfilter_net_hears_routes(const struct net *net);

#endif /* KMOD_BASE_NETNS_H */
