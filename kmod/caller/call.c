// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <net/net_namespace.h>

#include "caller/call.h"
#include "request/queue.h"
#include "request/request.h"

static void drop_gifts(struct bpfilter_request *request)
{
	u32 i;

	for (i = 0; i < request->gift_count; i++)
		if (request->gift[i])
			request->gift_kind->drop(request->gift[i]);
	request->gift_count = 0;
}

void bpfilter_call_drop(struct bpfilter_request *request)
{
	if (!request->gift_kind)
		return;
	drop_gifts(request);
	module_put(request->gift_kind->owner);
}

int bpfilter_call_give(struct bpfilter_request *request, const struct bpfilter_give *give)
{
	void *object;

	if (!request->gift_kind || give->reserved || give->count != request->gifts_wanted)
		return -EINVAL;
	/* A successor of a helper that died before it could answer. */
	drop_gifts(request);
	while (request->gift_count < give->count) {
		const s32 fd = give->fd[request->gift_count];

		object = fd == -1 ? NULL : request->gift_kind->take(fd);
		if (IS_ERR(object)) {
			drop_gifts(request);
			return PTR_ERR(object);
		}
		request->gift[request->gift_count++] = object;
	}
	return 0;
}

/* NULL without memory for it, or if the module that asks is going. */
static struct bpfilter_request *new_request(const struct bpfilter_call *call)
{
	struct bpfilter_request *request =
		bpfilter_request_new(call->opcode, call->net ? get_net(call->net) : NULL,
				     NFPROTO_UNSPEC);

	if (!request)
		return NULL;
	request->body = kvmalloc(call->length, GFP_KERNEL_ACCOUNT);
	/* The request may outlive the call, if the caller is killed. */
	if (!request->body || !try_module_get(call->kind->owner)) {
		bpfilter_request_put(request);
		return NULL;
	}
	memcpy(request->body, call->body, call->length);
	request->body_length = call->length;
	request->gift_kind = call->kind;
	request->gifts_wanted = call->count;
	return request;
}

int bpfilter_call(const struct bpfilter_call *call, void **gift)
{
	struct bpfilter_request *request;
	int error;

	if (WARN_ON_ONCE(call->count > BPFILTER_GIFTS_MAX))
		return -EINVAL;
	request = new_request(call);
	if (!request)
		return -ENOMEM;
	error = bpfilter_queue_perform(request);
	if (!error && request->gift_count != call->count)
		error = -EIO;
	if (!error) {
		memcpy(gift, request->gift, call->count * sizeof(*gift));
		request->gift_count = 0;
	}
	bpfilter_request_put(request);
	return error;
}
EXPORT_SYMBOL_GPL(bpfilter_call);
