/* SPDX-License-Identifier: GPL-2.0 */
/* Requests that the helper has, or that a thread of its own has in hand; see queue.h. */
#ifndef KMOD_REQUEST_HELD_H
#define KMOD_REQUEST_HELD_H

#include <linux/list.h>
#include <linux/types.h>

struct bpfilter_request;
struct bpfilter_session;

/* The helper's threads. */
struct bpfilter_request *bpfilter_queue_take(struct bpfilter_session *session, size_t least,
					     size_t room);
void bpfilter_queue_untake(struct bpfilter_session *session, struct bpfilter_request *request);
u32 bpfilter_queue_next_length(struct bpfilter_session *session); /* 0: none */
bool bpfilter_queue_ended(struct bpfilter_session *session);
struct bpfilter_request *bpfilter_queue_hold(struct bpfilter_session *session, u64 id);
struct bpfilter_request *bpfilter_queue_hold_to_finish(struct bpfilter_session *session, u64 id);
void bpfilter_queue_release(struct bpfilter_session *session, struct bpfilter_request *request);
void bpfilter_queue_finish(struct bpfilter_session *session, struct bpfilter_request *request,
			   int error);

/* The end of a session, under the lock. */
/* One more death. Is it one too many? */
bool bpfilter_queue_blame(struct bpfilter_request *request);
/* What becomes of a request that is in nobody's hands; `taken`: the helper has it, or had. */
void bpfilter_queue_settle(struct bpfilter_session *session, struct bpfilter_request *request,
			   bool taken, struct list_head *dead);

#endif /* KMOD_REQUEST_HELD_H */
