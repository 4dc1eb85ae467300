// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include <bpfilter/pipe.h>

#include "caller/caller.h"
#include "caller/narrow.h"
#include "request/request.h"

/* How often a table may change between the two questions to the helper. */
#define TRIES_MAX 16

/* A question that is answered with so many bytes. ERR_PTR(). */
static struct bpfilter_request *ask(struct net *net, u8 family, enum bpfilter_opcode opcode,
				    const void *head, u32 head_length, u32 size)
{
	struct bpfilter_request *request = bpfilter_request_new(opcode, get_net(net), family);
	int error;

	if (!request)
		return ERR_PTR(-ENOMEM);
	bpfilter_request_set_head(request, head, head_length);
	error = bpfilter_request_reserve_reply(request, size);
	if (!error)
		error = bpfilter_caller_perform(request, (const char *)request->head, 0);
	if (!error && request->reply_length != size)
		error = -EIO;
	if (error) {
		bpfilter_request_put(request);
		return ERR_PTR(error);
	}
	return request;
}

static int ask_info(struct net *net, u8 family, const char *table, struct ipt_getinfo *info)
{
	struct bpfilter_table_name head = {};
	struct bpfilter_request *request;

	strscpy(head.name, table, sizeof(head.name));
	request = ask(net, family, BPFILTER_OP_GET_INFO, &head, sizeof(head), sizeof(*info));
	if (IS_ERR(request))
		return PTR_ERR(request);
	memcpy(info, request->reply, sizeof(*info));
	bpfilter_request_put(request);
	return 0;
}

/* As they are now. */
static struct bpfilter_request *ask_entries(struct net *net, u8 family, const char *table,
					    struct ipt_getinfo *info)
{
	struct bpfilter_get_entries head = {};
	int error;

	error = ask_info(net, family, table, info);
	if (error)
		return ERR_PTR(error);
	if (!info->size || info->size > BPFILTER_PAYLOAD_MAX)
		return ERR_PTR(-EIO);
	strscpy(head.name, table, sizeof(head.name));
	head.size = info->size;
	return ask(net, family, BPFILTER_OP_GET_ENTRIES, &head, sizeof(head), head.size);
}

static struct bpfilter_request *list(struct net *net, u8 family, const char *table,
				     struct ipt_getinfo *info)
{
	struct bpfilter_request *entries;
	unsigned int tries = 0;

	do {
		entries = ask_entries(net, family, table, info);
	} while (entries == ERR_PTR(-EAGAIN) && ++tries < TRIES_MAX &&
		 !fatal_signal_pending(current));
	return entries;
}

int bpfilter_narrow_get_info(struct net *net, u8 family, const char *table,
			     struct ipt_getinfo *info)
{
	struct bpfilter_request *entries = list(net, family, table, info);
	struct bpfilter_listing *listing;

	if (IS_ERR(entries))
		return PTR_ERR(entries);
	listing = bpfilter_narrow(entries->reply, entries->reply_length, family, info);
	if (!IS_ERR(listing))
		bpfilter_narrow_end(listing);
	bpfilter_request_put(entries);
	return PTR_ERR_OR_ZERO(listing);
}

int bpfilter_narrow_get_entries(struct net *net, u8 family, const char *table, u32 size,
				void __user *to)
{
	struct bpfilter_listing *listing;
	struct bpfilter_request *entries;
	struct ipt_getinfo info;
	int error;

	entries = list(net, family, table, &info);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	listing = bpfilter_narrow(entries->reply, entries->reply_length, family, &info);
	error = PTR_ERR_OR_ZERO(listing);
	if (!error) {
		error = info.size == size ? bpfilter_narrow_copy(listing, to) : -EAGAIN;
		bpfilter_narrow_end(listing);
	}
	bpfilter_request_put(entries);
	return error;
}
