/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The queue: requests on their way to the helper and back.
 *
 *   new -submit-> queued -take-> held -settle-> processing -hold-> held -finish-> done
 *                    ^                             |
 *                    +--- settle: helper died -----+
 *
 * One spinlock guards all of it: queue.c has the requests, turn.c their order, held.c those that
 * the helper has, outcome.c whether they are committed, session.c the sessions. Contexts that meet
 * here:
 *   1. callers, in setsockopt, getsockopt and read of /proc: submit, wait, cancel;
 *   2. threads of the helper, in read, write, poll and ioctl: take, hold, release, finish;
 *   3. the end of a session: the last close of the pipe, the watchdog, module exit;
 *   4. notifiers: notices.
 * Between hold (or take) and release (or finish) a request belongs to one thread of the
 * helper. 1 and 3 then only leave a mark on it, which release and finish heed.
 */
#ifndef KMOD_REQUEST_QUEUE_H
#define KMOD_REQUEST_QUEUE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/wait.h>

struct bpfilter_request;
struct file;
struct net;
struct pid;

/* A session: one pipe, and so one life of a helper. */
struct bpfilter_session {
	refcount_t refs;
	struct pid *pid; /* the helper's thread group, once it exists */
	wait_queue_head_t readable;
	/* For the helper's way into the world; see pipe/process.c. */
	struct file *pipe;
	struct file *image;
	char path[32];

	/* Under the lock of queue.c. */
	struct list_head urgent; /* INIT, SETTINGS: before all that is queued */
	struct list_head processing; /* in the order read */
	unsigned long born; /* jiffies */
	unsigned long active; /* jiffies of its last reply, or since when it may read something */
	bool offering; /* there is something to read */
	unsigned int misreads; /* since its last reply: what was read could not be copied to it */
	bool greeted; /* INIT was answered well: the queue is open to it */
	unsigned int threads; /* so many requests at a time, then */
	bool ended;
};

enum bpfilter_end {
	BPFILTER_END_DIED, /* closed the pipe, or was killed */
	BPFILTER_END_HUNG, /* took longer than the deadline */
	BPFILTER_END_STALE, /* does not know a table in force */
	BPFILTER_END_REFUSED, /* speaks another version */
	BPFILTER_END_UNSTARTABLE, /* there is no program to run */
	BPFILTER_END_NO_MEMORY, /* for a process to run it in */
	BPFILTER_END_STOPPED, /* the module is going */
};

/* Callers. */
int bpfilter_queue_submit(struct bpfilter_request *request);
/* The request's error, or -EINTR when killed. */
int bpfilter_queue_wait(struct bpfilter_request *request);
int bpfilter_queue_perform(struct bpfilter_request *request); /* both */

/*
 * Notices: nobody waits. Takes over the reference. Dropped when there is no helper to
 * tell: its successor begins with the state as it is then.
 */
void bpfilter_queue_notify(struct bpfilter_request *request);
/* Does a request of this namespace wait, or is one with the helper? */
bool bpfilter_queue_has_business(const struct net *net);

/* What is asked of who has the helper's process; the first three under the lock of the queue. */
struct bpfilter_helper_ops {
	/* There is a request and no session. */
	void (*want)(void);
	/* There is something to watch the time of. */
	void (*watch)(void);
	/*
	 * A session ended. Returns 0 if there may be a successor, who is started if there are
	 * tables in force; or for how many jiffies there is none to be had.
	 */
	unsigned long (*ended)(struct bpfilter_session *session, enum bpfilter_end reason);
	/* The reply to INIT is in `init`: opens the queue, or ends the session. */
	void (*greet)(struct bpfilter_session *session, struct bpfilter_request *init, int error);
};

/* Before the first request. */
void bpfilter_queue_set_helper(const struct bpfilter_helper_ops *helper);

#endif /* KMOD_REQUEST_QUEUE_H */
