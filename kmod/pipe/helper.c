// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "base/settings.h"
#include "base/stake.h"
#include "packet/table.h"
#include "pipe/helper.h"
#include "pipe/image.h"
#include "pipe/pipe.h"
#include "pipe/process.h"
#include "pipe/replay.h"
#include "request/held.h"
#include "request/request.h"
#include "request/session.h"
#include "xdp/watch.h"

/* A life shorter than this counts as a failure to live. */
#define SHORT_LIFE HZ
#define BACKOFF_MIN (HZ / 10)
#define BACKOFF_MAX (5 * HZ)
/* So many in a row that died before they answered INIT, and we stop trying. */
#define STILLBORN_MAX 3
/* Whoever asks so soon after a helper could not be had is not the reason to try again. */
#define REFUSAL HZ
#define WATCH_PERIOD (HZ / 2)

static void start_helper(struct work_struct *work);
static void watch_helper(struct work_struct *work);

static struct workqueue_struct *workqueue;
static DECLARE_DELAYED_WORK(start_work, start_helper);
static DECLARE_DELAYED_WORK(watch_work, watch_helper);

/* Under the lock of the queue, but for the one who starts. */
static struct pid *previous; /* the helper before: gone before the next one starts */
static unsigned long backoff;
static unsigned long not_before; /* jiffies */
static unsigned int stillborn;

static void watch(void)
{
	schedule_delayed_work(&watch_work, WATCH_PERIOD);
}

static void want(void)
{
	unsigned long delay = 0;

	if (time_before(jiffies, not_before))
		delay = not_before - jiffies;
	queue_delayed_work(workqueue, &start_work, delay);
	watch();
}

static void watch_helper(struct work_struct *work)
{
	if (bpfilter_queue_watch(bpfilter_deadline()))
		watch();
}

/* The first death costs the next helper nothing; then they come slower and slower. */
static unsigned long back_off(struct bpfilter_session *session)
{
	unsigned long delay;

	if (time_after(jiffies, session->born + SHORT_LIFE))
		backoff = 0;
	delay = backoff;
	not_before = jiffies + delay;
	if (backoff)
		backoff = min_t(unsigned long, 2 * backoff, BACKOFF_MAX);
	else
		backoff = BACKOFF_MIN;
	return delay;
}

static bool is_hopeless(const struct bpfilter_session *session, enum bpfilter_end reason)
{
	if (reason == BPFILTER_END_REFUSED || reason == BPFILTER_END_UNSTARTABLE ||
	    reason == BPFILTER_END_NO_MEMORY)
		return true;
	if (session->greeted)
		stillborn = 0;
	else if (reason == BPFILTER_END_HUNG || ++stillborn >= STILLBORN_MAX)
		return true;
	return false;
}

static unsigned long ended(struct bpfilter_session *session, enum bpfilter_end reason)
{
	unsigned long delay;

	put_pid(previous);
	previous = get_pid(session->pid);
	if (reason == BPFILTER_END_STOPPED)
		return 0;
	if (reason == BPFILTER_END_DIED)
		pr_warn_ratelimited("the helper died; the rules in force stay in force\n");
	if (reason == BPFILTER_END_STALE)
		pr_warn_ratelimited("the helper does not know a table in force: starting another\n");
	if (reason == BPFILTER_END_HUNG)
		pr_warn_ratelimited("the helper hung; the rules in force stay in force\n");

	delay = back_off(session);
	if (is_hopeless(session, reason)) {
		pr_err_ratelimited("giving up the helper until it is asked for again\n");
		stillborn = 0;
		return max_t(unsigned long, delay, REFUSAL);
	}
	/* Tables in force want a helper too: it has XDP programs to attach for them. */
	if (bpfilter_table_any())
		want();
	return 0;
}

#define THREADS_MAX 256

static bool is_same_version(const struct bpfilter_request *init)
{
	const struct bpfilter_init *answer = init->reply;

	return init->reply_length >= offsetofend(struct bpfilter_init, threads) &&
	       answer->major == BPFILTER_PIPE_MAJOR;
}

static unsigned int threads_of(const struct bpfilter_request *init)
{
	const struct bpfilter_init *answer = init->reply;

	return clamp_t(unsigned int, answer->threads, 1, THREADS_MAX);
}

static void greet(struct bpfilter_session *session, struct bpfilter_request *init, int error)
{
	LIST_HEAD(replays);

	if (error || !is_same_version(init)) {
		pr_err_ratelimited("the helper does not speak version %u of the pipe\n",
				   BPFILTER_PIPE_MAJOR);
		bpfilter_session_end(session, BPFILTER_END_REFUSED);
		return;
	}
	/* Without memory for it, the tables in force would be unknown to this helper. */
	if (bpfilter_replay_all(&replays)) {
		bpfilter_session_end(session, BPFILTER_END_DIED);
		bpfilter_requests_put(&replays);
		return;
	}
	bpfilter_session_greeted(session, threads_of(init), &replays);
	/* Behind the replays: what there is at XDP is for it to look after now. */
	bpfilter_watch_all();
}

static struct bpfilter_request *new_init(void)
{
	struct bpfilter_request *request =
		bpfilter_request_new(BPFILTER_OP_INIT, NULL, NFPROTO_UNSPEC);

	if (!request)
		return NULL;
	if (bpfilter_request_reserve_reply(request, sizeof(struct bpfilter_init))) {
		bpfilter_request_put(request);
		return NULL;
	}
	return request;
}

static int attach_and_execute(struct bpfilter_session *session)
{
	struct bpfilter_request *init = new_init();
	int error;

	if (!init)
		return -ENOMEM;
	session->pipe = bpfilter_pipe_new(session);
	if (IS_ERR(session->pipe)) {
		bpfilter_request_put(init);
		return PTR_ERR(session->pipe);
	}
	error = bpfilter_session_attach(session, init);
	if (!error) {
		error = bpfilter_process_start(session);
		if (error)
			bpfilter_session_end(session, error == -ENOMEM ? BPFILTER_END_NO_MEMORY :
									 BPFILTER_END_UNSTARTABLE);
		else if (bpfilter_queue_ended(session))
			/* It ended before there was a process to kill. */
			kill_pid(session->pid, SIGKILL, 1);
	}
	fput(session->pipe);
	return error;
}

static int start_session(void)
{
	struct file *image = bpfilter_image();
	struct bpfilter_session *session;
	int error;

	if (IS_ERR(image))
		return PTR_ERR(image);
	session = bpfilter_session_new();
	if (!session)
		return -ENOMEM;
	session->image = image;
	/* Arenas that there are now are nobody's. */
	bpfilter_stake_orphan();
	error = attach_and_execute(session);
	bpfilter_session_put(session);
	return error;
}

static void start_helper(struct work_struct *work)
{
	int error;

	if (bpfilter_session_exists())
		return;
	if (previous && bpfilter_process_is_alive(previous)) {
		queue_delayed_work(workqueue, &start_work, msecs_to_jiffies(10));
		return;
	}
	error = start_session();
	if (error) {
		pr_err_ratelimited("cannot start the helper (error %d)\n", error);
		bpfilter_queue_refuse(error == -ENOMEM ? -ENOMEM : -ENOENT, REFUSAL);
	}
}

static const struct bpfilter_helper_ops helper_ops = {
	.want = want,
	.watch = watch,
	.ended = ended,
	.greet = greet,
};

int bpfilter_helper_init(void)
{
	bpfilter_queue_set_helper(&helper_ops);
	workqueue = alloc_ordered_workqueue("bpfilter", 0);
	return workqueue ? 0 : -ENOMEM;
}

void bpfilter_helper_exit(void)
{
	cancel_delayed_work_sync(&start_work);
	cancel_delayed_work_sync(&watch_work);
	if (workqueue)
		destroy_workqueue(workqueue);
	bpfilter_pipe_wait_closed();
	while (previous && bpfilter_process_is_alive(previous))
		schedule_timeout_uninterruptible(1);
	put_pid(previous);
	bpfilter_image_exit();
}
