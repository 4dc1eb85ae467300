/* SPDX-License-Identifier: GPL-2.0 */
/* What queue.c and session.c share, and nobody else. All of it is under the lock. */
#ifndef BF_QUEUE_STATE_H
#define BF_QUEUE_STATE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct bf_request;
struct bf_session;

extern struct bf_queue {
	spinlock_t lock;
	struct list_head requests; /* in state BF_QUEUED */
	struct bf_session *session; /* a reference, or NULL */
	u64 last_id;
	bool stopped;
	int refusal; /* what requests get until refused_until */
	unsigned long refused_until;
} bf_queue;

bool bf_queue_is_notice(const struct bf_request *request);
/* The request is done. The dead are for bf_requests_put(), without the lock. */
void bf_queue_bury(struct bf_request *request, int error, struct list_head *dead);
/* What becomes of a request that an ended session had read. */
void bf_queue_dispose(struct bf_request *request, struct list_head *dead);
/* Gives it an id, and to the list the reference. */
void bf_queue_add(struct bf_request *request, struct list_head *list);
void bf_queue_wake(struct bf_session *session);
struct bf_request *bf_queue_next(struct bf_session *session);

#endif /* BF_QUEUE_STATE_H */
