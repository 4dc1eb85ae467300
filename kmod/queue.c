// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "helper.h"
#include "queue.h"
#include "request.h"
#include "version.h"

/* A request that this many helpers died of is given to no other. */
#define BF_DEATHS_MAX 2

static DEFINE_SPINLOCK(bf_lock);
static LIST_HEAD(bf_queue);
static struct bf_session *bf_current;
static u64 bf_last_id;
static bool bf_stopped;
static int bf_refusal; /* what requests get until bf_refused_until */
static unsigned long bf_refused_until;

static bool is_notice(const struct bf_request *request)
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
static void bury(struct bf_request *request, int error, struct list_head *dead)
{
	lockdep_assert_held(&bf_lock);
	request->state = BF_DONE;
	request->error = error;
	list_move_tail(&request->list, dead);
	complete(&request->done);
}

static void enqueue(struct bf_request *request, struct list_head *list)
{
	lockdep_assert_held(&bf_lock);
	request->header.id = ++bf_last_id;
	request->header.length = sizeof(request->header) + request->head_length +
				 request->body_length;
	request->state = BF_QUEUED;
	request->since = jiffies;
	list_add_tail(&request->list, list);
}

static void wake_session(struct bf_session *session)
{
	lockdep_assert_held(&bf_lock);
	/* The clock of a helper that had nothing to do starts now. */
	if (list_empty(&session->processing) && list_empty(&session->urgent) &&
	    list_is_singular(&bf_queue))
		session->active = jiffies;
	wake_up(&session->readable);
	bf_helper_watch();
}

int bf_queue_submit(struct bf_request *request)
{
	int error = 0;

	spin_lock(&bf_lock);
	if (bf_stopped) {
		error = -EIO;
	} else if (!bf_current && bf_refusal && time_before(jiffies, bf_refused_until)) {
		error = bf_refusal;
	} else {
		enqueue(bf_request_get(request), &bf_queue);
		if (bf_current)
			wake_session(bf_current);
		else
			bf_helper_want();
	}
	spin_unlock(&bf_lock);
	return error;
}

static void cancel(struct bf_request *request)
{
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	if (request->state == BF_QUEUED)
		bury(request, -EINTR, &dead);
	else
		request->cancelled = true;
	spin_unlock(&bf_lock);
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
	list_for_each_entry(request, &bf_queue, list)
		if (request->header.opcode == BPFILTER_OP_DEVICES && request->net == notice->net)
			return true;
	return false;
}

void bf_queue_notify(struct bf_request *request)
{
	spin_lock(&bf_lock);
	if (bf_current && !is_queued_already(request)) {
		enqueue(request, &bf_queue);
		wake_session(bf_current);
		request = NULL;
	}
	spin_unlock(&bf_lock);
	bf_request_put(request);
}

static struct bf_request *next_request(struct bf_session *session)
{
	lockdep_assert_held(&bf_lock);
	if (session->ended)
		return NULL;
	if (!list_empty(&session->urgent))
		return list_first_entry(&session->urgent, struct bf_request, list);
	if (session->greeted && !list_empty(&bf_queue))
		return list_first_entry(&bf_queue, struct bf_request, list);
	return NULL;
}

/* The next request, held; NULL at the end; -EAGAIN, -EMSGSIZE. */
struct bf_request *bf_queue_take(struct bf_session *session, size_t room)
{
	struct bf_request *request;

	spin_lock(&bf_lock);
	request = next_request(session);
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
	spin_unlock(&bf_lock);
	return request;
}

u32 bf_queue_next_length(struct bf_session *session)
{
	struct bf_request *request;
	u32 length;

	spin_lock(&bf_lock);
	request = next_request(session);
	length = request ? request->header.length : 0;
	spin_unlock(&bf_lock);
	return length;
}

bool bf_queue_ended(struct bf_session *session)
{
	return READ_ONCE(session->ended);
}

static struct bf_request *find_processing(struct bf_session *session, u64 id)
{
	struct bf_request *request;

	lockdep_assert_held(&bf_lock);
	list_for_each_entry(request, &session->processing, list) {
		if (request->header.id == id)
			return request->state == BF_HELD ? ERR_PTR(-EBUSY) : request;
	}
	return ERR_PTR(-ENOENT);
}

struct bf_request *bf_queue_hold(struct bf_session *session, u64 id)
{
	struct bf_request *request;

	spin_lock(&bf_lock);
	request = find_processing(session, id);
	if (!IS_ERR(request) && request->cancelled)
		request = ERR_PTR(-ECANCELED);
	if (!IS_ERR(request)) {
		request->state = BF_HELD;
		bf_request_get(request);
	}
	spin_unlock(&bf_lock);
	return request;
}

/* As hold, for the reply; one that nobody waits for any more goes here. */
struct bf_request *bf_queue_hold_to_finish(struct bf_session *session, u64 id)
{
	struct bf_request *request;
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	request = find_processing(session, id);
	if (!IS_ERR(request)) {
		session->active = jiffies;
		if (request->cancelled) {
			bury(request, -EINTR, &dead);
			request = ERR_PTR(-ENOENT);
		} else {
			request->state = BF_HELD;
			bf_request_get(request);
		}
	}
	spin_unlock(&bf_lock);
	bf_requests_put(&dead);
	return request;
}

/* What becomes of a request that an ended session had read. */
static void dispose(struct bf_request *request, struct list_head *dead)
{
	lockdep_assert_held(&bf_lock);
	if (request->header.opcode == BPFILTER_OP_REPLAY)
		request->version->deaths++;
	request->deaths++;

	if (request->header.opcode == BPFILTER_OP_REPLACE && request->committed) {
		bury(request, 0, dead);
	} else if (request->cancelled || request->expired || bf_stopped || is_notice(request) ||
		   request->header.opcode == BPFILTER_OP_INIT ||
		   request->header.opcode == BPFILTER_OP_REPLAY ||
		   request->header.opcode == BPFILTER_OP_ADD_COUNTERS ||
		   request->deaths >= BF_DEATHS_MAX) {
		bury(request, -EIO, dead);
	} else {
		request->state = BF_QUEUED;
		request->since = jiffies;
		list_move(&request->list, &bf_queue);
	}
}

void bf_queue_release(struct bf_session *session, struct bf_request *request)
{
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	request->state = BF_PROCESSING;
	if (session->ended)
		dispose(request, &dead);
	spin_unlock(&bf_lock);
	bf_requests_put(&dead);
	bf_request_put(request);
}

/* It could not be copied to the helper's memory: as if it had never been read. */
void bf_queue_untake(struct bf_session *session, struct bf_request *request)
{
	bool urgent = request->header.opcode == BPFILTER_OP_INIT ||
		      request->header.opcode == BPFILTER_OP_REPLAY;
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	if (session->ended) {
		dispose(request, &dead);
	} else if (request->cancelled) {
		bury(request, -EINTR, &dead);
	} else {
		request->state = BF_QUEUED;
		list_move(&request->list, urgent ? &session->urgent : &bf_queue);
	}
	spin_unlock(&bf_lock);
	bf_requests_put(&dead);
	bf_request_put(request);
}

void bf_queue_finish(struct bf_session *session, struct bf_request *request, int error)
{
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	/* Only COMMIT decides about a REPLACE, whatever the reply says. */
	if (request->header.opcode == BPFILTER_OP_REPLACE) {
		if (request->committed)
			error = 0;
		else if (!error)
			error = -EIO;
	}
	session->active = jiffies;
	bury(request, error, &dead);
	spin_unlock(&bf_lock);
	bf_requests_put(&dead);
	bf_request_put(request);
}

int bf_queue_commit(struct bf_request *request)
{
	int error = 0;

	spin_lock(&bf_lock);
	if (request->cancelled)
		error = -ECANCELED;
	else if (request->committed)
		error = -EALREADY;
	else
		request->committed = true;
	spin_unlock(&bf_lock);
	return error;
}

void bf_queue_uncommit(struct bf_request *request)
{
	spin_lock(&bf_lock);
	request->committed = false;
	spin_unlock(&bf_lock);
}

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

	spin_lock(&bf_lock);
	exists = bf_current;
	spin_unlock(&bf_lock);
	return exists;
}

/* Makes it the session. Takes over the reference to `init`, also when it fails. */
int bf_session_attach(struct bf_session *session, struct bf_request *init)
{
	int error = 0;

	spin_lock(&bf_lock);
	if (bf_stopped || WARN_ON_ONCE(bf_current)) {
		error = -EBUSY;
	} else {
		refcount_inc(&session->refs);
		session->born = jiffies;
		session->active = jiffies;
		bf_current = session;
		enqueue(init, &session->urgent);
		bf_helper_watch();
	}
	spin_unlock(&bf_lock);
	if (error)
		bf_request_put(init);
	return error;
}

void bf_session_greeted(struct bf_session *session, struct list_head *replays)
{
	struct bf_request *request, *next;

	spin_lock(&bf_lock);
	if (!session->ended) {
		list_for_each_entry_safe(request, next, replays, list) {
			list_del(&request->list);
			enqueue(request, &session->urgent);
		}
		session->greeted = true;
		bf_refusal = 0;
		wake_session(session);
	}
	spin_unlock(&bf_lock);
	bf_requests_put(replays);
}

static void drop_notices(struct list_head *dead)
{
	struct bf_request *request, *next;

	list_for_each_entry_safe(request, next, &bf_queue, list)
		if (is_notice(request))
			bury(request, 0, dead);
}

static void fail_queued(int error, struct list_head *dead)
{
	struct bf_request *request, *next;

	lockdep_assert_held(&bf_lock);
	list_for_each_entry_safe(request, next, &bf_queue, list)
		bury(request, error, dead);
}

/* All that is queued fails, and so does what comes within `pause` jiffies. */
static void refuse(int error, unsigned long pause, struct list_head *dead)
{
	fail_queued(error, dead);
	bf_refusal = error;
	bf_refused_until = jiffies + pause;
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
			dispose(request, dead);
	}
	list_for_each_entry_safe(request, next, &session->urgent, list)
		bury(request, -EIO, dead);
}

void bf_session_end(struct bf_session *session, enum bf_end reason)
{
	unsigned long pause;
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	if (session->ended) {
		spin_unlock(&bf_lock);
		return;
	}
	session->ended = true;
	if (bf_current == session)
		bf_current = NULL;
	empty_session(session, &dead);
	wake_up_all(&session->readable);
	pause = bf_helper_ended(session, reason, !list_empty(&bf_queue));
	if (pause)
		refuse(reason == BF_END_UNSTARTABLE ? -ENOENT : -EIO, pause, &dead);
	spin_unlock(&bf_lock);
	bf_requests_put(&dead);

	if (session->pid)
		kill_pid(session->pid, SIGKILL, 1);
	bf_session_put(session);
}

void bf_queue_refuse(int error)
{
	LIST_HEAD(dead);

	spin_lock(&bf_lock);
	refuse(error, 0, &dead);
	spin_unlock(&bf_lock);
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
	return hung || (next_request(session) && is_over(session->active, deadline)) ||
	       (!session->greeted && is_over(session->born, deadline));
}

bool bf_queue_watch(unsigned long deadline)
{
	struct bf_session *hung = NULL;
	struct bf_request *request, *next;
	LIST_HEAD(dead);
	bool more;

	spin_lock(&bf_lock);
	if (bf_current && is_hung(bf_current, deadline)) {
		hung = bf_current;
		refcount_inc(&hung->refs);
	}
	if (!bf_current) {
		list_for_each_entry_safe(request, next, &bf_queue, list)
			if (is_over(request->since, deadline))
				bury(request, -EIO, &dead);
	}
	more = !list_empty(&bf_queue) ||
	       (bf_current && (!bf_current->greeted || !list_empty(&bf_current->urgent) ||
			       !list_empty(&bf_current->processing)));
	spin_unlock(&bf_lock);
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

	spin_lock(&bf_lock);
	bf_stopped = true;
	fail_queued(-EIO, &dead);
	session = bf_current;
	if (session)
		refcount_inc(&session->refs);
	spin_unlock(&bf_lock);
	bf_requests_put(&dead);

	if (session) {
		bf_session_end(session, BF_END_STOPPED);
		bf_session_put(session);
	}
}
