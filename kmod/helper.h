/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The helper's process: started at the first request that needs it, again when it died
 * and there is something for it to do, watched, killed.
 */
#ifndef BF_HELPER_H
#define BF_HELPER_H

#include <linux/types.h>

#include "queue.h"

struct bf_request;

/* The three below are called under the lock of the queue. */
/* There is a request and no session. */
void bf_helper_want(void);
/* There is something to watch the time of. */
void bf_helper_watch(void);
/*
 * A session ended, and there are requests left if `wanted`. Returns 0 if a successor
 * will see to them, or for how many jiffies there is none to be had.
 */
unsigned long bf_helper_ended(struct bf_session *session, enum bf_end reason, bool wanted);

/* The reply to INIT is in `init`: opens the queue, or ends the session. */
void bf_helper_greet(struct bf_session *session, struct bf_request *init, int error);

int bf_helper_init(void);
/* Behind bf_queue_stop(): until no process and no pipe is left. */
void bf_helper_exit(void);

#endif /* BF_HELPER_H */
