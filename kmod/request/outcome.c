// SPDX-License-Identifier: GPL-2.0
#include <linux/spinlock.h>

#include "request/outcome.h"
#include "request/queue_state.h"
#include "request/request.h"

int bpfilter_queue_commit(struct bpfilter_request *request)
{
	int error = 0;

	spin_lock(&bpfilter_queue.lock);
	if (request->cancelled)
		error = -ECANCELED;
	else if (request->committed)
		error = -EALREADY;
	else
		request->committed = true;
	spin_unlock(&bpfilter_queue.lock);
	return error;
}

void bpfilter_queue_uncommit(struct bpfilter_request *request)
{
	spin_lock(&bpfilter_queue.lock);
	request->committed = false;
	spin_unlock(&bpfilter_queue.lock);
}

/* When its caller waits no more, nothing changes this. */
bool bpfilter_queue_is_committed(struct bpfilter_request *request)
{
	bool committed;

	spin_lock(&bpfilter_queue.lock);
	committed = request->committed;
	spin_unlock(&bpfilter_queue.lock);
	return committed;
}

struct bpfilter_instances *bpfilter_queue_withdraw(struct bpfilter_request *request)
{
	struct bpfilter_instances *instances = NULL;

	spin_lock(&bpfilter_queue.lock);
	if (!request->committed)
		swap(instances, request->instances);
	spin_unlock(&bpfilter_queue.lock);
	return instances;
}
