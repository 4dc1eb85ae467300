// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/spinlock.h>

#include "helper.h"
#include "queue.h"
#include "queue_state.h"
#include "request.h"
#include "version.h"

/* A request that this many helpers died of is given to no other. */
#define BF_DEATHS_MAX 2

struct bf_queue bf_queue = {
	.lock = __SPIN_LOCK_UNLOCKED(bf_queue.lock),
	.requests = LIST_HEAD_INIT(bf_queue.requests),
};

bool bf_queue_is_notice(const struct bf_request *request)
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
void bf_queue_bury(struct bf_request *request, int error, struct list_head *dead)
{
	lockdep_assert_held(&bf_queue.lock);
	request->state = BF_DONE;
	request->error = error;
	list_move_tail(&request->list, dead);
	complete(&request->done);
}

void bf_queue_add(struct bf_request *request, struct list_head *list)
{
	lockdep_assert_held(&bf_queue.lock);
	request->header.id = ++bf_queue.last_id;
	request->header.length = sizeof(request->header) + request->head_length +
				 request->body_length;
	request->state = BF_QUEUED;
	request->since = jiffies;
	list_add_tail(&request->list, list);
}

void bf_queue_wake(struct bf_session *session)
{
	lockdep_assert_held(&bf_queue.lock);
	/* The clock of a helper that had nothing to do starts now. */
	if (list_empty(&session->processing) && list_empty(&session->urgent) &&
	    list_is_singular(&bf_queue.requests))
		session->active = jiffies;
	wake_up(&session->readable);
	bf_helper_watch();
}

static bool is_refused(void)
{
	return !bf_queue.session && bf_queue.refusal &&
	       time_before(jiffies, bf_queue.refused_until);
}

int bf_queue_submit(struct bf_request *request)
{
	int error = 0;

	spin_lock(&bf_queue.lock);
	if (bf_queue.stopped) {
		error = -EIO;
	} else if (is_refused()) {
		error = bf_queue.refusal;
	} else {
		bf_queue_add(bf_request_get(request), &bf_queue.requests);
		if (bf_queue.session)
			bf_queue_wake(bf_queue.session);
		else
			bf_helper_want();
	}
	spin_unlock(&bf_queue.lock);
	return error;
}

static void cancel(struct bf_request *request)
{
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	if (request->state == BF_QUEUED)
		bf_queue_bury(request, -EINTR, &dead);
	else
		request->cancelled = true;
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);
}

int bf_queue_wait(struct bf_request *request)
{
	/* No deadline of our own: the watchdog ends whatever is in our way in time. */
	if (wait_for_completion_killable(&request->done)) {
		cancel(request);
		return -EINTR;
	}
	return request->error;
}

int bf_queue_perform(struct bf_request *request)
{
	int error = bf_queue_submit(request);

	return error ? error : bf_queue_wait(request);
}

/* Devices of one namespace change in bursts: one unread notice says it all. */
static bool is_queued_already(const struct bf_request *notice)
{
	struct bf_request *request;

	if (notice->header.opcode != BPFILTER_OP_DEVICES)
		return false;
	list_for_each_entry(request, &bf_queue.requests, list)
		if (request->header.opcode == BPFILTER_OP_DEVICES &&
		    request->net == notice->net)
			return true;
	return false;
}

void bf_queue_notify(struct bf_request *request)
{
	spin_lock(&bf_queue.lock);
	if (bf_queue.session && !is_queued_already(request)) {
		bf_queue_add(request, &bf_queue.requests);
		bf_queue_wake(bf_queue.session);
		request = NULL;
	}
	spin_unlock(&bf_queue.lock);
	bf_request_put(request);
}

struct bf_request *bf_queue_next(struct bf_session *session)
{
	lockdep_assert_held(&bf_queue.lock);
	if (session->ended)
		return NULL;
	if (!list_empty(&session->urgent))
		return list_first_entry(&session->urgent, struct bf_request, list);
	if (session->greeted && !list_empty(&bf_queue.requests))
		return list_first_entry(&bf_queue.requests, struct bf_request, list);
	return NULL;
}

/* The next request, held; NULL at the end; -EAGAIN, -EMSGSIZE. */
struct bf_request *bf_queue_take(struct bf_session *session, size_t room)
{
	struct bf_request *request;

	spin_lock(&bf_queue.lock);
	request = bf_queue_next(session);
	if (!request) {
		request = session->ended ? NULL : ERR_PTR(-EAGAIN);
	} else if (request->header.length > room) {
		request = ERR_PTR(-EMSGSIZE);
	} else {
		request->state = BF_HELD;
		request->since = jiffies;
		session->active = jiffies;
		list_move_tail(&request->list, &session->processing);
		bf_request_get(request);
	}
	spin_unlock(&bf_queue.lock);
	return request;
}

u32 bf_queue_next_length(struct bf_session *session)
{
	struct bf_request *request;
	u32 length;

	spin_lock(&bf_queue.lock);
	request = bf_queue_next(session);
	length = request ? request->header.length : 0;
	spin_unlock(&bf_queue.lock);
	return length;
}

bool bf_queue_ended(struct bf_session *session)
{
	return READ_ONCE(session->ended);
}

static struct bf_request *find_processing(struct bf_session *session, u64 id)
{
	struct bf_request *request;

	lockdep_assert_held(&bf_queue.lock);
	list_for_each_entry(request, &session->processing, list) {
		if (request->header.id == id)
			return request->state == BF_HELD ? ERR_PTR(-EBUSY) : request;
	}
	return ERR_PTR(-ENOENT);
}

struct bf_request *bf_queue_hold(struct bf_session *session, u64 id)
{
	struct bf_request *request;

	spin_lock(&bf_queue.lock);
	request = find_processing(session, id);
	if (!IS_ERR(request) && request->cancelled)
		request = ERR_PTR(-ECANCELED);
	if (!IS_ERR(request)) {
		request->state = BF_HELD;
		bf_request_get(request);
	}
	spin_unlock(&bf_queue.lock);
	return request;
}

/* As hold, for the reply; one that nobody waits for any more goes here. */
struct bf_request *bf_queue_hold_to_finish(struct bf_session *session, u64 id)
{
	struct bf_request *request;
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	request = find_processing(session, id);
	if (!IS_ERR(request)) {
		session->active = jiffies;
		if (request->cancelled) {
			bf_queue_bury(request, -EINTR, &dead);
			request = ERR_PTR(-ENOENT);
		} else {
			request->state = BF_HELD;
			bf_request_get(request);
		}
	}
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);
	return request;
}

/* May the next helper be given what this one had read? */
static bool is_repeatable(const struct bf_request *request)
{
	switch (request->header.opcode) {
	case BPFILTER_OP_INIT:
	case BPFILTER_OP_REPLAY:
	case BPFILTER_OP_ADD_COUNTERS:
		return false;
	default:
		return !bf_queue_is_notice(request) && !request->cancelled && !request->expired &&
		       request->deaths < BF_DEATHS_MAX;
	}
}

void bf_queue_dispose(struct bf_request *request, struct list_head *dead)
{
	lockdep_assert_held(&bf_queue.lock);
	if (request->header.opcode == BPFILTER_OP_REPLAY)
		request->version->deaths++;
	request->deaths++;

	if (request->header.opcode == BPFILTER_OP_REPLACE && request->committed) {
		bf_queue_bury(request, 0, dead);
	} else if (bf_queue.stopped || !is_repeatable(request)) {
		bf_queue_bury(request, -EIO, dead);
	} else {
		request->state = BF_QUEUED;
		request->since = jiffies;
		list_move(&request->list, &bf_queue.requests);
	}
}

void bf_queue_release(struct bf_session *session, struct bf_request *request)
{
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	request->state = BF_PROCESSING;
	if (session->ended)
		bf_queue_dispose(request, &dead);
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);
	bf_request_put(request);
}

/* It could not be copied to the helper's memory: as if it had never been read. */
void bf_queue_untake(struct bf_session *session, struct bf_request *request)
{
	bool urgent = request->header.opcode == BPFILTER_OP_INIT ||
		      request->header.opcode == BPFILTER_OP_REPLAY;
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	if (session->ended) {
		bf_queue_dispose(request, &dead);
	} else if (request->cancelled) {
		bf_queue_bury(request, -EINTR, &dead);
	} else {
		request->state = BF_QUEUED;
		list_move(&request->list, urgent ? &session->urgent : &bf_queue.requests);
	}
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);
	bf_request_put(request);
}

void bf_queue_finish(struct bf_session *session, struct bf_request *request, int error)
{
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	/* Only COMMIT decides about a REPLACE, whatever the reply says. */
	if (request->header.opcode == BPFILTER_OP_REPLACE) {
		if (request->committed)
			error = 0;
		else if (!error)
			error = -EIO;
	}
	session->active = jiffies;
	bf_queue_bury(request, error, &dead);
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);
	bf_request_put(request);
}

int bf_queue_commit(struct bf_request *request)
{
	int error = 0;

	spin_lock(&bf_queue.lock);
	if (request->cancelled)
		error = -ECANCELED;
	else if (request->committed)
		error = -EALREADY;
	else
		request->committed = true;
	spin_unlock(&bf_queue.lock);
	return error;
}

void bf_queue_uncommit(struct bf_request *request)
{
	spin_lock(&bf_queue.lock);
	request->committed = false;
	spin_unlock(&bf_queue.lock);
}
