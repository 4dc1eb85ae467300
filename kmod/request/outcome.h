/* SPDX-License-Identifier: GPL-2.0 */
/* COMMIT, or the end of who waits for it: whatever comes first, the other one sees. */
#ifndef KMOD_REQUEST_OUTCOME_H
#define KMOD_REQUEST_OUTCOME_H

#include <linux/types.h>

struct bpfilter_instances;
struct bpfilter_request;

/* By who holds it. */
int bpfilter_queue_commit(struct bpfilter_request *request); /* -ECANCELED, -EALREADY: do not */
void bpfilter_queue_uncommit(struct bpfilter_request *request);

/* By its caller, who waits no more: */
bool bpfilter_queue_is_committed(struct bpfilter_request *request);
/* The instances of one that was not committed, nor will be; NULL: none. */
struct bpfilter_instances *bpfilter_queue_withdraw(struct bpfilter_request *request);

#endif /* KMOD_REQUEST_OUTCOME_H */
