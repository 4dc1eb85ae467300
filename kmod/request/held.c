// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/spinlock.h>

#include "base/settings.h"
#include "packet/version.h"
#include "request/held.h"
#include "request/queue.h"
#include "request/queue_state.h"
#include "request/request.h"
#include "request/turn.h"

/* A request that this many helpers died of is given to no other. */
#define DEATHS_MAX 2

/* The next request, held; NULL at the end; -EAGAIN, also if it is shorter; -EMSGSIZE. */
struct bpfilter_request *bpfilter_queue_take(struct bpfilter_session *session, size_t least,
					     size_t room)
{
	struct bpfilter_request *request;

	spin_lock(&bpfilter_queue.lock);
	request = bpfilter_queue_next(session);
	if (!request || request->header.length < least) {
		request = session->ended ? NULL : ERR_PTR(-EAGAIN);
	} else if (request->header.length > room) {
		request = ERR_PTR(-EMSGSIZE);
	} else {
		request->state = REQUEST_HELD;
		request->since = jiffies;
		request->header.seconds = bpfilter_deadline() / HZ;
		list_move_tail(&request->list, &session->processing);
		if (request->turn == TURN_WAITS)
			bpfilter_turn_start(request);
		bpfilter_request_get(request);
		session->offering = false;
		bpfilter_queue_offer(session);
	}
	spin_unlock(&bpfilter_queue.lock);
	return request;
}

u32 bpfilter_queue_next_length(struct bpfilter_session *session)
{
	struct bpfilter_request *request;
	u32 length;

	spin_lock(&bpfilter_queue.lock);
	request = bpfilter_queue_next(session);
	length = request ? request->header.length : 0;
	spin_unlock(&bpfilter_queue.lock);
	return length;
}

bool bpfilter_queue_ended(struct bpfilter_session *session)
{
	return READ_ONCE(session->ended);
}

static struct bpfilter_request *find_processing(struct bpfilter_session *session, u64 id)
{
	struct bpfilter_request *request;

	lockdep_assert_held(&bpfilter_queue.lock);
	list_for_each_entry(request, &session->processing, list) {
		if (request->header.id == id)
			return request->state == REQUEST_HELD ? ERR_PTR(-EBUSY) : request;
	}
	return ERR_PTR(-ENOENT);
}

struct bpfilter_request *bpfilter_queue_hold(struct bpfilter_session *session, u64 id)
{
	struct bpfilter_request *request;

	spin_lock(&bpfilter_queue.lock);
	request = find_processing(session, id);
	if (!IS_ERR(request) && request->cancelled)
		request = ERR_PTR(-ECANCELED);
	if (!IS_ERR(request)) {
		request->state = REQUEST_HELD;
		bpfilter_request_get(request);
	}
	spin_unlock(&bpfilter_queue.lock);
	return request;
}

/* As hold, for the reply; one that nobody waits for any more goes here. */
struct bpfilter_request *bpfilter_queue_hold_to_finish(struct bpfilter_session *session, u64 id)
{
	struct bpfilter_request *request;
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	request = find_processing(session, id);
	if (!IS_ERR(request)) {
		session->active = jiffies;
		if (request->cancelled) {
			bpfilter_queue_bury(request, -EINTR, &dead);
			request = ERR_PTR(-ENOENT);
		} else {
			request->state = REQUEST_HELD;
			bpfilter_request_get(request);
		}
	}
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);
	return request;
}

/* May the next helper be given what this one had read, or was about to? */
static bool is_repeatable(const struct bpfilter_request *request)
{
	switch (request->header.opcode) {
	case BPFILTER_OP_INIT:
	case BPFILTER_OP_REPLAY:
	case BPFILTER_OP_ADD_COUNTERS:
		return false;
	default:
		return !bpfilter_queue_is_notice(request) && !request->expired;
	}
}

/* Another helper died over it. Is that one more than it may have? */
bool bpfilter_queue_blame(struct bpfilter_request *request)
{
	lockdep_assert_held(&bpfilter_queue.lock);
	if (request->header.opcode == BPFILTER_OP_REPLAY)
		request->version->deaths++;
	return ++request->deaths >= DEATHS_MAX;
}

/* To be read, before all others of its namespace. What is urgent is for this session alone. */
static void requeue(struct bpfilter_request *request, struct bpfilter_session *session)
{
	const bool urgent = request->turn == TURN_NONE && !session->ended;

	request->state = REQUEST_QUEUED;
	request->since = jiffies;
	list_move(&request->list, urgent ? &session->urgent : &bpfilter_queue.requests);
	if (!urgent) {
		bpfilter_turn_leave(request);
		bpfilter_turn_join(request, true);
	}
	bpfilter_queue_offer_any();
}

/* What becomes of a request whose helper is gone. */
static void bequeath(struct bpfilter_session *session, struct bpfilter_request *request,
		     struct list_head *dead)
{
	const bool blamed = bpfilter_queue_blame(request);

	if (request->header.opcode == BPFILTER_OP_REPLACE && request->committed)
		bpfilter_queue_bury(request, 0, dead);
	else if (bpfilter_queue.stopped || blamed || !is_repeatable(request))
		bpfilter_queue_bury(request, -EIO, dead);
	else if (bpfilter_queue_is_refused())
		bpfilter_queue_bury(request, bpfilter_queue.refusal, dead);
	else
		requeue(request, session);
}

/*
 * A request that was with the helper, or on its way there, and is in nobody's hands now:
 * the only place that decides what becomes of it. Nobody waits for it any more, its helper
 * is gone, it goes on as it was, or it could not be given to the helper after all.
 */
void bpfilter_queue_settle(struct bpfilter_session *session, struct bpfilter_request *request,
			   bool taken, struct list_head *dead)
{
	lockdep_assert_held(&bpfilter_queue.lock);
	if (request->cancelled && (session->ended || !taken))
		bpfilter_queue_bury(request, -EINTR, dead);
	else if (session->ended)
		bequeath(session, request, dead);
	else if (taken)
		request->state = REQUEST_PROCESSING;
	else
		requeue(request, session);
}

static void let_go(struct bpfilter_session *session, struct bpfilter_request *request, bool taken)
{
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	session->misreads += !taken;
	bpfilter_queue_settle(session, request, taken, &dead);
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);
	bpfilter_request_put(request);
}

void bpfilter_queue_release(struct bpfilter_session *session, struct bpfilter_request *request)
{
	let_go(session, request, true);
}

/* It could not be copied to the helper's memory: as if it had never been read. */
void bpfilter_queue_untake(struct bpfilter_session *session, struct bpfilter_request *request)
{
	let_go(session, request, false);
}

void bpfilter_queue_finish(struct bpfilter_session *session, struct bpfilter_request *request,
			   int error)
{
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	/* Only COMMIT decides about a REPLACE, whatever the reply says; with CHECK its caller. */
	if (request->header.opcode == BPFILTER_OP_REPLACE) {
		if (request->committed)
			error = 0;
		else if (!error && !request->check)
			error = -EIO;
	}
	session->misreads = 0;
	session->active = jiffies;
	bpfilter_queue_bury(request, error, &dead);
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);
	bpfilter_request_put(request);
}
