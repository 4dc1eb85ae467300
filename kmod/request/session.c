// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "base/settings.h"
#include "packet/quirk.h"
#include "request/held.h"
#include "request/queue_state.h"
#include "request/request.h"
#include "request/session.h"
#include "request/turn.h"

/* A helper that reads to where it has no memory, so often in a row, will not learn. */
#define MISREADS_MAX 64

struct bpfilter_session *bpfilter_session_new(void)
{
	struct bpfilter_session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	refcount_set(&session->refs, 1);
	init_waitqueue_head(&session->readable);
	INIT_LIST_HEAD(&session->urgent);
	INIT_LIST_HEAD(&session->processing);
	return session;
}

void bpfilter_session_put(struct bpfilter_session *session)
{
	if (!refcount_dec_and_test(&session->refs))
		return;
	put_pid(session->pid);
	kfree(session);
}

bool bpfilter_session_exists(void)
{
	bool exists;

	spin_lock(&bpfilter_queue.lock);
	exists = bpfilter_queue.session;
	spin_unlock(&bpfilter_queue.lock);
	return exists;
}

static void set_init(struct bpfilter_request *request)
{
	const struct bpfilter_init init = {
		.major = BPFILTER_PIPE_MAJOR,
		.minor = BPFILTER_PIPE_MINOR,
		.settings = bpfilter_get_settings(),
		.lax = bpfilter_lax,
	};

	bpfilter_request_set_head(request, &init, sizeof(init));
}

/*
 * Makes it the session. Takes over the reference to `init`, also when it fails. The settings
 * are those of this moment: a change behind it finds a session to tell.
 */
int bpfilter_session_attach(struct bpfilter_session *session, struct bpfilter_request *init)
{
	int error = 0;

	spin_lock(&bpfilter_queue.lock);
	if (bpfilter_queue.stopped || WARN_ON_ONCE(bpfilter_queue.session)) {
		/* There is nothing to end, then. */
		session->ended = true;
		error = -EBUSY;
	} else {
		refcount_inc(&session->refs);
		session->born = jiffies;
		session->active = jiffies;
		bpfilter_queue.session = session;
		set_init(init);
		bpfilter_queue_add(init, &session->urgent);
		bpfilter_queue_offer(session);
	}
	spin_unlock(&bpfilter_queue.lock);
	if (error)
		bpfilter_request_put(init);
	return error;
}

void bpfilter_session_greet(struct bpfilter_session *session, struct bpfilter_request *init,
			    int error)
{
	bpfilter_queue.helper->greet(session, init, error);
}

void bpfilter_session_greeted(struct bpfilter_session *session, unsigned int threads,
			      struct list_head *replays)
{
	struct bpfilter_request *request, *next;

	spin_lock(&bpfilter_queue.lock);
	if (!session->ended) {
		/* Backwards, since each goes before those that are there. */
		list_for_each_entry_safe_reverse(request, next, replays, list) {
			list_del(&request->list);
			bpfilter_queue_enter(request, true);
		}
		session->threads = threads;
		session->greeted = true;
		bpfilter_queue.refusal = 0;
		bpfilter_queue_offer(session);
	}
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(replays);
}

/* What is queued for the helper that is gone, and means nothing to another. */
static void drop_its_own(struct list_head *dead)
{
	struct bpfilter_request *request, *next;

	list_for_each_entry_safe(request, next, &bpfilter_queue.requests, list)
		if (bpfilter_queue_is_notice(request) ||
		    request->header.opcode == BPFILTER_OP_REPLAY)
			bpfilter_queue_bury(request, 0, dead);
}

static void fail_queued(int error, struct list_head *dead)
{
	struct bpfilter_request *request, *next;

	lockdep_assert_held(&bpfilter_queue.lock);
	list_for_each_entry_safe(request, next, &bpfilter_queue.requests, list)
		bpfilter_queue_bury(request, error, dead);
}

/* All that is queued fails, and so does what comes within `pause` jiffies. */
static void refuse(int error, unsigned long pause, struct list_head *dead)
{
	const unsigned long until = jiffies + pause;

	fail_queued(error, dead);
	/* A pause that was longer is not cut short. */
	if (!bpfilter_queue.refusal || time_after(until, bpfilter_queue.refused_until))
		bpfilter_queue.refused_until = until;
	bpfilter_queue.refusal = error;
}

/* A request that a helper does not live to read may be what it died of. */
static void blame_unread(struct bpfilter_session *session, struct list_head *dead)
{
	struct bpfilter_request *request = bpfilter_queue_next(session);

	if (request && bpfilter_queue_blame(request))
		bpfilter_queue_bury(request, -EIO, dead);
}

/* Takes back what the helper had read, and what was for no other than it. */
static void empty_session(struct bpfilter_session *session, struct list_head *dead)
{
	struct bpfilter_request *request, *next;

	drop_its_own(dead);
	list_for_each_entry_safe(request, next, &session->processing, list) {
		if (request->state == REQUEST_HELD) {
			list_del_init(&request->list);
			/* Whoever has it may be long about it: no thread of the next helper's. */
			bpfilter_turn_leave(request);
		} else {
			bpfilter_queue_settle(session, request, true, dead);
		}
	}
	list_for_each_entry_safe(request, next, &session->urgent, list)
		bpfilter_queue_bury(request, -EIO, dead);
}

static int refusal_for(enum bpfilter_end reason)
{
	switch (reason) {
	case BPFILTER_END_UNSTARTABLE:
		return -ENOENT;
	case BPFILTER_END_NO_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

void bpfilter_session_end(struct bpfilter_session *session, enum bpfilter_end reason)
{
	unsigned long pause;
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	if (session->ended) {
		spin_unlock(&bpfilter_queue.lock);
		return;
	}
	if (reason == BPFILTER_END_DIED || reason == BPFILTER_END_HUNG)
		blame_unread(session, &dead);
	session->ended = true;
	if (bpfilter_queue.session == session)
		bpfilter_queue.session = NULL;
	/* First of all when the next may be started, or that there is none to be had. */
	pause = bpfilter_queue.helper->ended(session, reason);
	if (pause)
		refuse(refusal_for(reason), pause, &dead);
	empty_session(session, &dead);
	if (!pause && !list_empty(&bpfilter_queue.requests))
		bpfilter_queue.helper->want();
	wake_up_all(&session->readable);
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);

	if (session->pid)
		kill_pid(session->pid, SIGKILL, 1);
	bpfilter_session_put(session);
}

void bpfilter_queue_refuse(int error, unsigned long pause)
{
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	refuse(error, pause, &dead);
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);
}

static bool is_over(unsigned long since, unsigned long deadline)
{
	return time_after(jiffies, since + deadline);
}

/* Does the helper take too long over something, or leave it lying? */
static bool is_hung(struct bpfilter_session *session, unsigned long deadline)
{
	struct bpfilter_request *request;
	bool hung = false;

	list_for_each_entry(request, &session->processing, list) {
		if (is_over(request->since, deadline)) {
			request->expired = true;
			hung = true;
		}
	}
	return hung || session->misreads > MISREADS_MAX ||
	       (bpfilter_queue_next(session) && is_over(session->active, deadline)) ||
	       (!session->greeted && is_over(session->born, deadline));
}

static bool is_busy(const struct bpfilter_session *session)
{
	return !session->greeted || !list_empty(&session->urgent) ||
	       !list_empty(&session->processing);
}

bool bpfilter_queue_watch(unsigned long deadline)
{
	struct bpfilter_session *hung = NULL;
	struct bpfilter_request *request, *next;
	LIST_HEAD(dead);
	bool more;

	spin_lock(&bpfilter_queue.lock);
	if (bpfilter_queue.session && is_hung(bpfilter_queue.session, deadline)) {
		hung = bpfilter_queue.session;
		refcount_inc(&hung->refs);
	}
	if (!bpfilter_queue.session) {
		list_for_each_entry_safe(request, next, &bpfilter_queue.requests, list)
			if (is_over(request->since, deadline))
				bpfilter_queue_bury(request, -EIO, &dead);
	}
	more = !list_empty(&bpfilter_queue.requests) ||
	       (bpfilter_queue.session && is_busy(bpfilter_queue.session));
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);

	if (hung) {
		bpfilter_session_end(hung, BPFILTER_END_HUNG);
		bpfilter_session_put(hung);
	}
	return more;
}

void bpfilter_queue_stop(void)
{
	struct bpfilter_session *session;
	LIST_HEAD(dead);

	spin_lock(&bpfilter_queue.lock);
	bpfilter_queue.stopped = true;
	fail_queued(-EIO, &dead);
	session = bpfilter_queue.session;
	if (session)
		refcount_inc(&session->refs);
	spin_unlock(&bpfilter_queue.lock);
	bpfilter_requests_put(&dead);

	if (session) {
		bpfilter_session_end(session, BPFILTER_END_STOPPED);
		bpfilter_session_put(session);
	}
}
