// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "base/netns.h"
#include "base/settings.h"
#include "packet/version.h"
#include "pipe/helper.h"
#include "request/queue.h"
#include "request/queue_state.h"
#include "request/request.h"
#include "request/turn.h"

/* A request that this many helpers died of is given to no other. */
#define DEATHS_MAX 2
/* What the helper needs over a request: so many times its bytes, at most. */
#define HELPER_FACTOR 5
#define REPLY_FACTOR 3

struct bpfilter_queue bpfilter_queue = {
	.lock = __SPIN_LOCK_UNLOCKED(bpfilter_queue.lock),
	.requests = LIST_HEAD_INIT(bpfilter_queue.requests),
};

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
	bpfilter_helper_watch();
}

static bool is_refused(void)
{
	return !bpfilter_queue.session && bpfilter_queue.refusal &&
	       time_before(jiffies, bpfilter_queue.refused_until);
}

/* To whoever reads next; if there is nobody, somebody is started, and time is watched. */
static void offer(void)
{
	if (bpfilter_queue.session)
		bpfilter_queue_offer(bpfilter_queue.session);
	else
		bpfilter_helper_want();
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
	int error = request->net ? bpfilter_net_prepare(request->net) : 0;

	if (error)
		return error;
	if (!is_affordable(request))
		return -ENOMEM;
	spin_lock(&bpfilter_queue.lock);
	if (bpfilter_queue.stopped) {
		error = -EIO;
	} else if (is_refused()) {
		error = bpfilter_queue.refusal;
	} else {
		bpfilter_queue_enter(bpfilter_request_get(request), false);
		offer();
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
		waiting->header.flags = notice->header.flags;
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
		offer();
		request = NULL;
	}
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_request_put(request);
}

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
	offer();
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
	else if (is_refused())
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
