// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "request/known.h"
#include "request/queue.h"
#include "request/queue_state.h"
#include "request/request.h"
#include "request/turn.h"

/*
 * What the helper needs over a request: so many times its bytes. Rules made of nothing but lists
 * of ports or ranges of addresses take six times; no more than half of what is available is
 * promised.
 */
#define HELPER_FACTOR 5
#define REPLY_FACTOR 3

struct bpfilter_queue bpfilter_queue = {
	.lock = __SPIN_LOCK_UNLOCKED(bpfilter_queue.lock),
	.requests = LIST_HEAD_INIT(bpfilter_queue.requests),
};

void bpfilter_queue_set_helper(const struct bpfilter_helper_ops *helper)
{
	bpfilter_queue.helper = helper;
}

bool bpfilter_queue_is_notice(const struct bpfilter_request *request)
{
	switch (request->header.opcode) {
	case BPFILTER_OP_SETTINGS:
	case BPFILTER_OP_NETNS_GONE:
	case BPFILTER_OP_DEVICES:
		return true;
	default:
		return false;
	}
}

/* Moves it off its list and to the dead, whose references are dropped unlocked. */
void bpfilter_queue_bury(struct bpfilter_request *request, int error, struct list_head *dead)
{
	lockdep_assert_held(&bpfilter_queue.lock);
	request->state = REQUEST_DONE;
	request->error = error;
	list_move_tail(&request->list, dead);
	bpfilter_turn_leave(request);
	/* One that waited for it may be next. */
	if (bpfilter_queue.session)
		bpfilter_queue_offer(bpfilter_queue.session);
	complete(&request->done);
}

void bpfilter_queue_add(struct bpfilter_request *request, struct list_head *list)
{
	lockdep_assert_held(&bpfilter_queue.lock);
	request->header.id = ++bpfilter_queue.last_id;
	request->header.length =
		sizeof(request->header) + request->head_length + request->body_length;
	request->weight = (unsigned long)request->header.length + request->header.reply_limit;
	request->state = REQUEST_QUEUED;
	request->since = jiffies;
	list_add_tail(&request->list, list);
}

void bpfilter_queue_enter(struct bpfilter_request *request, bool first)
{
	bpfilter_queue_add(request, &bpfilter_queue.requests);
	bpfilter_turn_join(request, first);
}

struct bpfilter_request *bpfilter_queue_next(struct bpfilter_session *session)
{
	struct bpfilter_request *request;

	lockdep_assert_held(&bpfilter_queue.lock);
	if (session->ended)
		return NULL;
	request = list_first_entry_or_null(&session->urgent, struct bpfilter_request, list);
	/* INIT before all others, and nothing before its answer. */
	if (!session->greeted)
		return request && request->header.opcode == BPFILTER_OP_INIT ? request : NULL;
	return request ? request : bpfilter_turn_next(session->threads);
}

/* What is on offer may be another one now: tells whoever is there to read it. */
void bpfilter_queue_offer(struct bpfilter_session *session)
{
	const bool offering = bpfilter_queue_next(session);

	/* The clock of a helper that had nothing to read starts now. */
	if (offering && !session->offering)
		session->active = jiffies;
	session->offering = offering;
	if (!offering)
		return;
	wake_up(&session->readable);
	bpfilter_queue.helper->watch();
}

bool bpfilter_queue_is_refused(void)
{
	return !bpfilter_queue.session && bpfilter_queue.refusal &&
	       time_before(jiffies, bpfilter_queue.refused_until);
}

/* To whoever reads next; if there is nobody, somebody is started, and time is watched. */
void bpfilter_queue_offer_any(void)
{
	if (bpfilter_queue.session)
		bpfilter_queue_offer(bpfilter_queue.session);
	else
		bpfilter_queue.helper->want();
}

/*
 * Has the machine the memory that the helper needs over it? That is some times its bytes, on
 * nobody's account; half of what there is may go to one request.
 */
static bool is_affordable(const struct bpfilter_request *request)
{
	const unsigned long body = request->body_length, reply = request->header.reply_limit;

	/* What is asked behind a COMMIT is not refused. */
	return body + reply <= BPFILTER_LIGHT_MAX ||
	       request->header.opcode == BPFILTER_OP_OLD_COUNTERS ||
	       body / PAGE_SIZE * HELPER_FACTOR + reply / PAGE_SIZE * REPLY_FACTOR <=
		       (unsigned long)si_mem_available() / 2;
}

int bpfilter_queue_submit(struct bpfilter_request *request)
{
	int error = request->net ? bpfilter_known_prepare(request->net) : 0;

	if (error)
		return error;
	if (!is_affordable(request))
		return -ENOMEM;
	spin_lock(&bpfilter_queue.lock);
	if (bpfilter_queue.stopped) {
		error = -EIO;
	} else if (bpfilter_queue_is_refused()) {
		error = bpfilter_queue.refusal;
	} else {
		bpfilter_queue_enter(bpfilter_request_get(request), false);
		bpfilter_queue_offer_any();
	}
	spin_unlock(&bpfilter_queue.lock);
	return error;
}

static void cancel(struct bpfilter_request *request)
{
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	if (request->state == REQUEST_QUEUED)
		bpfilter_queue_bury(request, -EINTR, &dead);
	else
		request->cancelled = true;
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);
}

int bpfilter_queue_wait(struct bpfilter_request *request)
{
	/* No deadline of our own: the watchdog ends whatever is in our way in time. */
	if (wait_for_completion_killable(&request->done)) {
		cancel(request);
		return -EINTR;
	}
	return request->error;
}

int bpfilter_queue_perform(struct bpfilter_request *request)
{
	int error = bpfilter_queue_submit(request);

	return error ? error : bpfilter_queue_wait(request);
}

/* One unread notice about devices says it all, with what was said last. */
static bool is_queued_already(const struct bpfilter_request *notice)
{
	struct bpfilter_request *waiting;

	if (notice->header.opcode != BPFILTER_OP_DEVICES)
		return false;
	waiting = bpfilter_turn_devices(notice);
	if (waiting)
		waiting->header.flags = notice->header.flags |
					(waiting->header.flags & BPFILTER_REQUEST_USER);
	return waiting;
}

bool bpfilter_queue_has_business(const struct net *net)
{
	bool busy;

	spin_lock(&bpfilter_queue.lock);
	busy = bpfilter_turn_is_busy(net);
	spin_unlock(&bpfilter_queue.lock);
	return busy;
}

void bpfilter_queue_notify(struct bpfilter_request *request)
{
	spin_lock(&bpfilter_queue.lock);
	if (bpfilter_queue.session && !is_queued_already(request)) {
		/* What follows from new settings must not come before them. */
		if (request->header.opcode == BPFILTER_OP_SETTINGS)
			bpfilter_queue_add(request, &bpfilter_queue.session->urgent);
		else
			bpfilter_queue_enter(request, false);
		bpfilter_queue_offer_any();
		request = NULL;
	}
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_request_put(request);
}
