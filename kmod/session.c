// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "helper.h"
#include "queue.h"
#include "queue_state.h"
#include "request.h"

struct bf_session *bf_session_new(void)
{
	struct bf_session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	refcount_set(&session->refs, 1);
	init_waitqueue_head(&session->readable);
	INIT_LIST_HEAD(&session->urgent);
	INIT_LIST_HEAD(&session->processing);
	return session;
}

void bf_session_put(struct bf_session *session)
{
	if (!refcount_dec_and_test(&session->refs))
		return;
	put_pid(session->pid);
	kfree(session);
}

bool bf_session_exists(void)
{
	bool exists;

	spin_lock(&bf_queue.lock);
	exists = bf_queue.session;
	spin_unlock(&bf_queue.lock);
	return exists;
}

/* Makes it the session. Takes over the reference to `init`, also when it fails. */
int bf_session_attach(struct bf_session *session, struct bf_request *init)
{
	int error = 0;

	spin_lock(&bf_queue.lock);
	if (bf_queue.stopped || WARN_ON_ONCE(bf_queue.session)) {
		/* There is nothing to end, then. */
		session->ended = true;
		error = -EBUSY;
	} else {
		refcount_inc(&session->refs);
		session->born = jiffies;
		session->active = jiffies;
		bf_queue.session = session;
		bf_queue_add(init, &session->urgent);
		bf_helper_watch();
	}
	spin_unlock(&bf_queue.lock);
	if (error)
		bf_request_put(init);
	return error;
}

void bf_session_greeted(struct bf_session *session, struct list_head *replays)
{
	struct bf_request *request, *next;

	spin_lock(&bf_queue.lock);
	if (!session->ended) {
		list_for_each_entry_safe(request, next, replays, list) {
			list_del(&request->list);
			bf_queue_add(request, &session->urgent);
		}
		session->greeted = true;
		bf_queue.refusal = 0;
		bf_queue_wake(session);
	}
	spin_unlock(&bf_queue.lock);
	bf_requests_put(replays);
}

static void drop_notices(struct list_head *dead)
{
	struct bf_request *request, *next;

	list_for_each_entry_safe(request, next, &bf_queue.requests, list)
		if (bf_queue_is_notice(request))
			bf_queue_bury(request, 0, dead);
}

static void fail_queued(int error, struct list_head *dead)
{
	struct bf_request *request, *next;

	lockdep_assert_held(&bf_queue.lock);
	list_for_each_entry_safe(request, next, &bf_queue.requests, list)
		bf_queue_bury(request, error, dead);
}

/* All that is queued fails, and so does what comes within `pause` jiffies. */
static void refuse(int error, unsigned long pause, struct list_head *dead)
{
	fail_queued(error, dead);
	bf_queue.refusal = error;
	bf_queue.refused_until = jiffies + pause;
}

/* Takes back what the helper had read, and what was for no other than it. */
static void empty_session(struct bf_session *session, struct list_head *dead)
{
	struct bf_request *request, *next;

	drop_notices(dead);
	/* Backwards, so that what is put in front of the queue keeps its order. */
	list_for_each_entry_safe_reverse(request, next, &session->processing, list) {
		if (request->state == BF_HELD)
			list_del_init(&request->list);
		else
			bf_queue_dispose(request, dead);
	}
	list_for_each_entry_safe(request, next, &session->urgent, list)
		bf_queue_bury(request, -EIO, dead);
}

void bf_session_end(struct bf_session *session, enum bf_end reason)
{
	unsigned long pause;
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	if (session->ended) {
		spin_unlock(&bf_queue.lock);
		return;
	}
	session->ended = true;
	if (bf_queue.session == session)
		bf_queue.session = NULL;
	empty_session(session, &dead);
	wake_up_all(&session->readable);
	pause = bf_helper_ended(session, reason, !list_empty(&bf_queue.requests));
	if (pause)
		refuse(reason == BF_END_UNSTARTABLE ? -ENOENT : -EIO, pause, &dead);
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);

	if (session->pid)
		kill_pid(session->pid, SIGKILL, 1);
	bf_session_put(session);
}

void bf_queue_refuse(int error)
{
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	refuse(error, 0, &dead);
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);
}

static bool is_over(unsigned long since, unsigned long deadline)
{
	return time_after(jiffies, since + deadline);
}

/* Does the helper take too long over something, or leave it lying? */
static bool is_hung(struct bf_session *session, unsigned long deadline)
{
	struct bf_request *request;
	bool hung = false;

	list_for_each_entry(request, &session->processing, list) {
		if (is_over(request->since, deadline)) {
			request->expired = true;
			hung = true;
		}
	}
	return hung || (bf_queue_next(session) && is_over(session->active, deadline)) ||
	       (!session->greeted && is_over(session->born, deadline));
}

static bool is_busy(const struct bf_session *session)
{
	return !session->greeted || !list_empty(&session->urgent) ||
	       !list_empty(&session->processing);
}

bool bf_queue_watch(unsigned long deadline)
{
	struct bf_session *hung = NULL;
	struct bf_request *request, *next;
	LIST_HEAD(dead);
	bool more;

	spin_lock(&bf_queue.lock);
	if (bf_queue.session && is_hung(bf_queue.session, deadline)) {
		hung = bf_queue.session;
		refcount_inc(&hung->refs);
	}
	if (!bf_queue.session) {
		list_for_each_entry_safe(request, next, &bf_queue.requests, list)
			if (is_over(request->since, deadline))
				bf_queue_bury(request, -EIO, &dead);
	}
	more = !list_empty(&bf_queue.requests) ||
	       (bf_queue.session && is_busy(bf_queue.session));
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);

	if (hung) {
		bf_session_end(hung, BF_END_HUNG);
		bf_session_put(hung);
	}
	return more;
}

void bf_queue_stop(void)
{
	struct bf_session *session;
	LIST_HEAD(dead);

	spin_lock(&bf_queue.lock);
	bf_queue.stopped = true;
	fail_queued(-EIO, &dead);
	session = bf_queue.session;
	if (session)
		refcount_inc(&session->refs);
	spin_unlock(&bf_queue.lock);
	bf_requests_put(&dead);

	if (session) {
		bf_session_end(session, BF_END_STOPPED);
		bf_session_put(session);
	}
}
