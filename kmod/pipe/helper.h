/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The helper's process: started at the first request that needs it, again when it died
 * and there is something for it to do, watched, killed.
 */
#ifndef KMOD_PIPE_HELPER_H
#define KMOD_PIPE_HELPER_H

#include <linux/types.h>

#include "request/queue.h"

struct bpfilter_request;

/* The three below are called under the lock of the queue. */
/* There is a request and no session. */
void bpfilter_helper_want(void);
/* There is something to watch the time of. */
void bpfilter_helper_watch(void);
/*
 * A session ended. Returns 0 if there may be a successor, who is started if there are tables
 * in force; or for how many jiffies there is none to be had.
 */
unsigned long bpfilter_helper_ended(struct bpfilter_session *session, enum bpfilter_end reason);

/* The reply to INIT is in `init`: opens the queue, or ends the session. */
void bpfilter_helper_greet(struct bpfilter_session *session, struct bpfilter_request *init,
			   int error);

int bpfilter_helper_init(void);
/* Behind bpfilter_queue_stop(): until no process and no pipe is left. */
void bpfilter_helper_exit(void);

#endif /* KMOD_PIPE_HELPER_H */
