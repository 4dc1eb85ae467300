// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <net/net_namespace.h>

#include "caller/call.h"
#include "request/queue.h"
#include "request/request.h"

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
	request->gifts.kind = call->kind;
	request->gifts.wanted = call->count;
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
	if (!error && request->gifts.count != call->count)
		error = -EIO;
	if (!error) {
		memcpy(gift, request->gifts.gift, call->count * sizeof(*gift));
		request->gifts.count = 0;
	}
	bpfilter_request_put(request);
	return error;
}
EXPORT_SYMBOL_GPL(bpfilter_call);
