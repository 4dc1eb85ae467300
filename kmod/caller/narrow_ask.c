// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include <bpfilter/pipe.h>

#include "caller/caller.h"
#include "caller/narrow.h"
#include "packet/table.h"
#include "packet/version.h"
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

static int info_of_listing(void *entries, u32 size, u8 family, struct ipt_getinfo *info)
{
	struct bpfilter_listing *listing = bpfilter_narrow(entries, size, family, info);

	if (IS_ERR(listing))
		return PTR_ERR(listing);
	bpfilter_narrow_end(listing);
	return 0;
}

/* What a REPLACE brought says it all at once: nobody comes between. */
static int info_of_payload(const struct bpfilter_version *version, struct ipt_getinfo *info)
{
	const struct ipt_replace *replace = version->payload;
	const u32 size = version->payload_length - sizeof(*replace);
	void *entries = kvmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	int error, i;

	if (!entries)
		return -ENOMEM;
	memcpy(entries, replace + 1, size);
	*info = (struct ipt_getinfo){ .valid_hooks = replace->valid_hooks,
				      .num_entries = replace->num_entries,
				      .size = size };
	strscpy(info->name, replace->name, sizeof(info->name));
	for (i = 0; i < NF_INET_NUMHOOKS; i++) {
		const bool valid = replace->valid_hooks & BIT(i);

		info->hook_entry[i] = valid ? replace->hook_entry[i] : U32_MAX;
		info->underflow[i] = valid ? replace->underflow[i] : U32_MAX;
	}
	error = info_of_listing(entries, size, version->family, info);
	kvfree(entries);
	return error;
}

/* False: it has its first contents, or is not there. */
static bool is_replaced(struct net *net, u8 family, const char *table, struct ipt_getinfo *info,
			int *error)
{
	struct bpfilter_version *version = bpfilter_table_version(net, family, table);
	const bool replaced = version && version->payload;

	if (replaced)
		*error = info_of_payload(version, info);
	bpfilter_version_put(version);
	return replaced;
}

int bpfilter_narrow_get_info(struct net *net, u8 family, const char *table,
			     struct ipt_getinfo *info)
{
	struct bpfilter_request *entries;
	int error;

	if (is_replaced(net, family, table, info, &error))
		return error;
	entries = list(net, family, table, info);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	error = info_of_listing(entries->reply, entries->reply_length, family, info);
	bpfilter_request_put(entries);
	/* Meanwhile, perhaps, and the two questions were answered of two tables. */
	is_replaced(net, family, table, info, &error);
	return error;
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
