/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The queue: requests on their way to the helper and back.
 *
 *   new -submit-> queued -take-> held -settle-> processing -hold-> held -finish-> done
 *                    ^                             |
 *                    +--- settle: helper died -----+
 *
 * One spinlock guards all of it: queue.c has the requests, turn.c their order, commit.c whether
 * they are committed, session.c the sessions. Contexts that meet here:
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

struct bpfilter_instances;
struct bpfilter_request;
struct file;
struct net;
struct pid;

/* A session: one pipe, and so one life of a helper. */
struct bpfilter_session {
	refcount_t refs;
	struct pid *pid; /* the helper's thread group, once it exists */
	wait_queue_head_t readable;
	/* For the helper's way into the world; see helper.c. */
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
bool bpfilter_queue_is_committed(struct bpfilter_request *request); /* behind it */
/* Behind it too: the instances of one that was not committed, nor will be; NULL: none. */
struct bpfilter_instances *bpfilter_queue_withdraw(struct bpfilter_request *request);

/*
 * Notices: nobody waits. Takes over the reference. Dropped when there is no helper to
 * tell: its successor begins with the state as it is then.
 */
void bpfilter_queue_notify(struct bpfilter_request *request);
/* Does a request of this namespace wait, or is one with the helper? */
bool bpfilter_queue_has_business(const struct net *net);

/* The helper's threads. */
struct bpfilter_request *bpfilter_queue_take(struct bpfilter_session *session, size_t least,
					     size_t room);
void bpfilter_queue_untake(struct bpfilter_session *session, struct bpfilter_request *request);
u32 bpfilter_queue_next_length(struct bpfilter_session *session); /* 0: none */
bool bpfilter_queue_ended(struct bpfilter_session *session);
struct bpfilter_request *bpfilter_queue_hold(struct bpfilter_session *session, u64 id);
struct bpfilter_request *bpfilter_queue_hold_to_finish(struct bpfilter_session *session, u64 id);
void bpfilter_queue_release(struct bpfilter_session *session, struct bpfilter_request *request);
void bpfilter_queue_finish(struct bpfilter_session *session, struct bpfilter_request *request,
			   int error);
int bpfilter_queue_commit(struct bpfilter_request *request); /* -ECANCELED, -EALREADY: do not */
void bpfilter_queue_uncommit(struct bpfilter_request *request);

/* Sessions: session.c. */
struct bpfilter_session *bpfilter_session_new(void);
void bpfilter_session_put(struct bpfilter_session *session);
int bpfilter_session_attach(struct bpfilter_session *session, struct bpfilter_request *init);
bool bpfilter_session_exists(void);
/*
 * Opens the queue to it, which has so many threads. The requests in `replays`, whose references
 * it takes, come before all others of their namespaces.
 */
void bpfilter_session_greeted(struct bpfilter_session *session, unsigned int threads,
			      struct list_head *replays);
void bpfilter_session_end(struct bpfilter_session *session, enum bpfilter_end reason);

/* No session can be had: all that is queued fails, and what comes within `pause` jiffies. */
void bpfilter_queue_refuse(int error, unsigned long pause);
/* Ends what is over the deadline. Returns whether there is anything left to watch. */
bool bpfilter_queue_watch(unsigned long deadline);
/* Fails everything, from now on. */
void bpfilter_queue_stop(void);

#endif /* KMOD_REQUEST_QUEUE_H */
