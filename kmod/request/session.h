/* SPDX-License-Identifier: GPL-2.0 */
/* Sessions: the beginning and the end of each, and what becomes of the queue then; see queue.h. */
#ifndef KMOD_REQUEST_SESSION_H
#define KMOD_REQUEST_SESSION_H

#include <linux/list.h>
#include <linux/types.h>

#include "request/queue.h"

struct bpfilter_session *bpfilter_session_new(void);
void bpfilter_session_put(struct bpfilter_session *session);
int bpfilter_session_attach(struct bpfilter_session *session, struct bpfilter_request *init);
bool bpfilter_session_exists(void);
/* INIT was answered: the helper's process is asked what to make of it. */
void bpfilter_session_greet(struct bpfilter_session *session, struct bpfilter_request *init,
			    int error);
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

#endif /* KMOD_REQUEST_SESSION_H */
