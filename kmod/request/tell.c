// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "base/netns.h"
#include "request/queue.h"
#include "request/request.h"
#include "request/tell.h"

/* How often it is asked whose time has come. */
#define PERIOD (HZ / 20)
/* Between one telling and the next. */
#define PAUSE HZ
/* So soon behind the last, a change is one of a restless namespace; so often, and it is enough. */
#define RESTLESS (3 * HZ)
#define RESTLESS_MAX 4
/* Then it is looked at when nothing changed for so long. */
#define QUIET (5 * HZ)
/* A namespace that has always something else to ask is told all the same. */
#define PATIENCE (2 * HZ)

static DEFINE_SPINLOCK(lock); /* outside that of the queue */
static LIST_HEAD(due);
static bool stopped; /* nobody is told any more */

static void tell(struct work_struct *work);
static DECLARE_DELAYED_WORK(tell_work, tell);

static struct bpfilter_news *news_of(struct net *net)
{
	return &bpfilter_net(net)->news;
}

static void mark(struct bpfilter_news *news)
{
	lockdep_assert_held(&lock);
	if (stopped)
		return;
	if (list_empty(&news->due)) {
		news->since = jiffies;
		list_add_tail(&news->due, &due);
	}
	schedule_delayed_work(&tell_work, PERIOD);
}

void bpfilter_tell_moved(struct net *net)
{
	struct bpfilter_news *news = news_of(net);

	spin_lock(&lock);
	news->moved = jiffies;
	news->has_moved = true;
	mark(news);
	spin_unlock(&lock);
}

void bpfilter_tell_again(struct net *net)
{
	spin_lock(&lock);
	mark(news_of(net));
	spin_unlock(&lock);
}

static bool is_time(const struct bpfilter_news *news, struct net *net)
{
	if (news->unsettled)
		return time_after(jiffies, news->moved + QUIET);
	if (time_before(jiffies, news->told + PAUSE))
		return false;
	return !bpfilter_queue_has_business(net) || time_after(jiffies, news->since + PATIENCE);
}

/* Its time has come: what it is told, and whether it stays on the list for more. */
static u16 say(struct bpfilter_news *news)
{
	const bool soon = news->has_moved && time_before(jiffies, news->told + RESTLESS);
	const bool was_unsettled = news->unsettled;

	news->restless = soon && !was_unsettled ? news->restless + 1 : 0;
	news->unsettled = news->restless > RESTLESS_MAX;
	news->has_moved = false;
	news->told = jiffies;
	if (!news->unsettled)
		list_del_init(&news->due);
	return news->unsettled ? BPFILTER_REQUEST_UNSETTLED : 0;
}

/* The next one whose time has come, referenced, off the list `todo`; NULL: no other. */
static struct net *next_due(struct list_head *todo, u16 *flags)
{
	struct bpfilter_news *news;
	struct net *net = NULL;

	spin_lock(&lock);
	while (!net && !list_empty(todo)) {
		news = list_first_entry(todo, struct bpfilter_news, due);
		list_move_tail(&news->due, &due);
		net = maybe_get_net(news->net);
		if (!net) {
			list_del_init(&news->due);
		} else if (is_time(news, net)) {
			*flags = say(news);
		} else {
			put_net(net);
			net = NULL;
		}
	}
	spin_unlock(&lock);
	return net;
}

static void tell_one(struct net *net, u16 flags)
{
	struct bpfilter_request *request;

	request = bpfilter_request_new(BPFILTER_OP_DEVICES, get_net(net), NFPROTO_UNSPEC);
	if (request) {
		request->header.flags = flags;
		bpfilter_queue_notify(request);
	} else {
		bpfilter_tell_again(net); /* when there is memory */
	}
	put_net(net);
}

static void tell(struct work_struct *work)
{
	LIST_HEAD(todo);
	struct net *net;
	u16 flags;

	spin_lock(&lock);
	list_splice_init(&due, &todo);
	spin_unlock(&lock);
	while ((net = next_due(&todo, &flags)))
		tell_one(net, flags);
	spin_lock(&lock);
	if (!list_empty(&due))
		schedule_delayed_work(&tell_work, PERIOD);
	spin_unlock(&lock);
}

void bpfilter_news_init(struct bpfilter_news *news, struct net *net)
{
	news->net = net;
	INIT_LIST_HEAD(&news->due);
	news->told = jiffies - RESTLESS;
}

void bpfilter_news_exit(struct bpfilter_news *news)
{
	spin_lock(&lock);
	list_del_init(&news->due);
	spin_unlock(&lock);
}

void bpfilter_tell_exit(void)
{
	spin_lock(&lock);
	stopped = true;
	spin_unlock(&lock);
	cancel_delayed_work_sync(&tell_work);
}
