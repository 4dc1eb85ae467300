// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "packet/instance.h"
#include "packet/version.h"
#include "request/request.h"

struct bpfilter_request *bpfilter_request_new(enum bpfilter_opcode opcode, struct net *net,
					      u8 family)
{
	struct bpfilter_request *request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);

	if (!request) {
		if (net)
			put_net(net);
		return NULL;
	}
	refcount_set(&request->refs, 1);
	init_completion(&request->done);
	INIT_LIST_HEAD(&request->list);
	request->net = net;
	request->header.opcode = opcode;
	request->header.family = family;
	request->header.netns = net ? net->net_cookie : 0;
	return request;
}

void bpfilter_request_set_head(struct bpfilter_request *request, const void *head, u32 length)
{
	if (WARN_ON_ONCE(length > sizeof(request->head)))
		return;
	memcpy(request->head, head, length);
	request->head_length = length;
}

int bpfilter_request_reserve_reply(struct bpfilter_request *request, u32 limit)
{
	request->reply = kvmalloc(limit, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!request->reply)
		return -ENOMEM;
	request->header.reply_limit = limit;
	return 0;
}

struct bpfilter_request *bpfilter_request_get(struct bpfilter_request *request)
{
	refcount_inc(&request->refs);
	return request;
}

void bpfilter_request_put(struct bpfilter_request *request)
{
	if (!request || !refcount_dec_and_test(&request->refs))
		return;
	bpfilter_gifts_end(&request->gifts);
	kvfree(request->check);
	bpfilter_instances_leave(request->instances, &(struct bpfilter_charge){});
	bpfilter_version_put(request->version);
	bpfilter_version_put(request->retired);
	kvfree(request->body);
	kvfree(request->reply);
	if (request->net)
		put_net(request->net);
	kfree(request);
}

void bpfilter_request_forget_check(struct bpfilter_request *request)
{
	kvfree(request->check);
	request->check = NULL;
}

void bpfilter_requests_put(struct list_head *requests)
{
	struct bpfilter_request *request, *next;

	list_for_each_entry_safe(request, next, requests, list) {
		list_del_init(&request->list);
		bpfilter_request_put(request);
	}
}

const void *bpfilter_request_body(const struct bpfilter_request *request)
{
	return request->body ? request->body : request->version->payload;
}

/* Some mean something to the kernel. */
int bpfilter_request_error(int error)
{
	switch (-error) {
	case ECHILD:
	case EINTR:
	case EPIPE:
	case ENOPROTOOPT:
		return -EIO;
	default:
		return error < -EHWPOISON ? -EIO : error;
	}
}

const char *bpfilter_request_table(const struct bpfilter_request *request)
{
	switch (request->header.opcode) {
	case BPFILTER_OP_GET_INFO:
	case BPFILTER_OP_GET_ENTRIES:
	case BPFILTER_OP_REPLAY:
		return (const char *)request->head;
	case BPFILTER_OP_REPLACE:
	case BPFILTER_OP_ADD_COUNTERS:
		/* COMMIT moved the body away, and left the name in the head. */
		return request->body ? request->body : (const char *)request->head;
	default:
		return NULL;
	}
}
