/* SPDX-License-Identifier: GPL-2.0 */
/* What queue.c, held.c, session.c and outcome.c share, and nobody else. All under the lock. */
#ifndef KMOD_REQUEST_QUEUE_STATE_H
#define KMOD_REQUEST_QUEUE_STATE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct bpfilter_helper_ops;
struct bpfilter_request;
struct bpfilter_session;

extern struct bpfilter_queue {
	spinlock_t lock; /* guards all below, and the lists and states they lead to */
	struct list_head requests; /* in state REQUEST_QUEUED; whose turn it is: turn.h */
	struct bpfilter_session *session; /* a reference, or NULL */
	u64 last_id;
	bool stopped;
	int refusal; /* what requests get until refused_until */
	unsigned long refused_until;
	const struct bpfilter_helper_ops *helper; /* fixed */
} bpfilter_queue;

bool bpfilter_queue_is_notice(const struct bpfilter_request *request);
/* The request is done. The dead are for bpfilter_requests_put(), without the lock. */
void bpfilter_queue_bury(struct bpfilter_request *request, int error, struct list_head *dead);
/* Gives it an id, and to the list the reference. */
void bpfilter_queue_add(struct bpfilter_request *request, struct list_head *list);
/* The same for the queue itself: behind the others of its namespace, or before them. */
void bpfilter_queue_enter(struct bpfilter_request *request, bool first);
/* What the helper would read now, or NULL. */
struct bpfilter_request *bpfilter_queue_next(struct bpfilter_session *session);
/* Behind everything that may have changed that. */
void bpfilter_queue_offer(struct bpfilter_session *session);
/* The same for whoever reads next; if there is nobody, somebody is started. */
void bpfilter_queue_offer_any(void);
/* There is no session to be had for a while. */
bool bpfilter_queue_is_refused(void);

#endif /* KMOD_REQUEST_QUEUE_STATE_H */
