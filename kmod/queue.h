/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The queue: requests on their way to the helper and back.
 *
 *   new ─submit─▶ queued ─take─▶ held ─release─▶ processing ─hold─▶ held ─finish─▶ done
 *                    ▲                               │
 *                    └─────── the helper died ───────┘
 *
 * One spinlock guards all of it: queue.c has the requests, session.c the sessions. Contexts that meet here:
 *   1. callers, in setsockopt, getsockopt and read of /proc: submit, wait, cancel;
 *   2. threads of the helper, in read, write, poll and ioctl: take, hold, release, finish;
 *   3. the end of a session: the last close of the pipe, the watchdog, module exit;
 *   4. notifiers: notices.
 * Between hold (or take) and release (or finish) a request belongs to one thread of the
 * helper. 1 and 3 then only leave a mark on it, which release and finish heed.
 */
#ifndef BF_QUEUE_H
#define BF_QUEUE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/wait.h>

struct bf_request;
struct file;
struct pid;

/* A session: one pipe, and so one life of a helper. */
struct bf_session {
	refcount_t refs;
	struct pid *pid; /* the helper's thread group, once it exists */
	wait_queue_head_t readable;
	/* For the helper's way into the world; see helper.c. */
	struct file *pipe;
	struct file *image;
	char path[32];

	/* Under the lock of queue.c. */
	struct list_head urgent; /* INIT, then REPLAYs: before all that is queued */
	struct list_head processing; /* in the order read */
	unsigned long born; /* jiffies */
	unsigned long active; /* jiffies of its last read or reply */
	bool greeted; /* INIT was answered well: the queue is open to it */
	bool ended;
};

enum bf_end {
	BF_END_DIED, /* closed the pipe, or was killed */
	BF_END_HUNG, /* took longer than the deadline */
	BF_END_STALE, /* does not know a table in force */
	BF_END_REFUSED, /* speaks another version */
	BF_END_UNSTARTABLE, /* there is no program to run */
	BF_END_STOPPED, /* the module is going */
};

/* Callers. */
int bf_queue_submit(struct bf_request *request);
int bf_queue_wait(struct bf_request *request); /* the request's error, or -EINTR when killed */
int bf_queue_perform(struct bf_request *request); /* both */

/*
 * Notices: nobody waits. Takes over the reference. Dropped when there is no helper to
 * tell: its successor begins with the state as it is then.
 */
void bf_queue_notify(struct bf_request *request);

/* The helper's threads. */
struct bf_request *bf_queue_take(struct bf_session *session, size_t room);
void bf_queue_untake(struct bf_session *session, struct bf_request *request);
u32 bf_queue_next_length(struct bf_session *session); /* 0: none */
bool bf_queue_ended(struct bf_session *session);
struct bf_request *bf_queue_hold(struct bf_session *session, u64 id);
struct bf_request *bf_queue_hold_to_finish(struct bf_session *session, u64 id);
void bf_queue_release(struct bf_session *session, struct bf_request *request);
void bf_queue_finish(struct bf_session *session, struct bf_request *request, int error);
int bf_queue_commit(struct bf_request *request); /* -ECANCELED, -EALREADY: do not */
void bf_queue_uncommit(struct bf_request *request);

/* Sessions: session.c. */
struct bf_session *bf_session_new(void);
void bf_session_put(struct bf_session *session);
int bf_session_attach(struct bf_session *session, struct bf_request *init);
bool bf_session_exists(void);
/* Opens the queue to it, behind the requests in `replays`, whose references it takes. */
void bf_session_greeted(struct bf_session *session, struct list_head *replays);
void bf_session_end(struct bf_session *session, enum bf_end reason);

/* No session can be had: all that is queued fails. */
void bf_queue_refuse(int error);
/* Ends what is over the deadline. Returns whether there is anything left to watch. */
bool bf_queue_watch(unsigned long deadline);
/* Fails everything, from now on. */
void bf_queue_stop(void);

#endif /* BF_QUEUE_H */
