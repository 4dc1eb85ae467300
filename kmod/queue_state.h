/* SPDX-License-Identifier: GPL-2.0 */
/* What queue.c and session.c share, and nobody else. All of it is under the lock. */
#ifndef KMOD_QUEUE_STATE_H
#define KMOD_QUEUE_STATE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct bpfilter_request;
struct bpfilter_session;

extern struct bpfilter_queue {
	spinlock_t lock; /* guards all below, and the lists and states they lead to */
	struct list_head requests; /* in state REQUEST_QUEUED */
	struct bpfilter_session *session; /* a reference, or NULL */
	u64 last_id;
	bool stopped;
	int refusal; /* what requests get until refused_until */
	unsigned long refused_until;
} bpfilter_queue;

bool bpfilter_queue_is_notice(const struct bpfilter_request *request);
/* The request is done. The dead are for bpfilter_requests_put(), without the lock. */
void bpfilter_queue_bury(struct bpfilter_request *request, int error, struct list_head *dead);
/* What becomes of a request that an ended session had read. */
void bpfilter_queue_dispose(struct bpfilter_request *request, struct list_head *dead);
/* Gives it an id, and to the list the reference. */
void bpfilter_queue_add(struct bpfilter_request *request, struct list_head *list);
void bpfilter_queue_wake(struct bpfilter_session *session);
struct bpfilter_request *bpfilter_queue_next(struct bpfilter_session *session);

#endif /* KMOD_QUEUE_STATE_H */
