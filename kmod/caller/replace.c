// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sockptr.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "caller/caller.h"
#include "caller/narrow.h"
#include "caller/replace.h"
#include "packet/instance.h"
#include "packet/version.h"
#include "request/check.h"
#include "request/outcome.h"
#include "request/queue.h"
#include "request/request.h"

static struct bpfilter_request *new_old_counters(struct bpfilter_request *replace, u32 count)
{
	struct bpfilter_count head = { .count = count };
	struct bpfilter_request *request;

	request = bpfilter_request_new(BPFILTER_OP_OLD_COUNTERS, get_net(replace->net),
				       replace->header.family);
	if (!request)
		return NULL;
	bpfilter_request_set_head(request, &head, sizeof(head));
	swap(request->version, replace->retired);
	swap(request->reply, replace->reply);
	if (request->reply)
		request->header.reply_limit = count * sizeof(struct xt_counters);
	return request;
}

struct dropping {
	struct work_struct work;
	struct bpfilter_version *version;
};

static void drop(struct work_struct *work)
{
	bpfilter_version_put(container_of(work, struct dropping, work)->version);
}

/*
 * No helper looks at it any more. Files that a caller puts would wait for him to be back from his
 * system call.
 */
static void drop_version(struct bpfilter_version **version)
{
	struct dropping dropping = { .version = *version };

	INIT_WORK_ONSTACK(&dropping.work, drop);
	queue_work(system_unbound_wq, &dropping.work);
	flush_work(&dropping.work);
	destroy_work_on_stack(&dropping.work);
	*version = NULL;
}

/*
 * What the table that went out of force had counted, in a request that is done. His memory may be
 * of a kind that lets us wait, so nothing is kept for it then. ERR_PTR(): -EINTR: he was killed.
 */
static struct bpfilter_request *old_counters(struct bpfilter_request *replace, u32 count)
{
	struct bpfilter_request *request = new_old_counters(replace, count);
	int error;

	if (!request) {
		drop_version(&replace->retired);
		return ERR_PTR(-ENOMEM);
	}
	error = bpfilter_queue_perform(request);
	if (!error && request->reply_length != count * sizeof(struct xt_counters))
		error = -EIO;
	if (error != -EINTR)
		drop_version(&request->version);
	if (!error)
		return request;
	bpfilter_request_put(request);
	return ERR_PTR(error);
}

/*
 * To the caller's memory; zeros if it cannot be known. A table that was made by this very request
 * had counted nothing.
 */
static int give_old_counters(struct bpfilter_request *replace, u32 count, void __user *to)
{
	const u32 size = count * sizeof(struct xt_counters);
	struct bpfilter_request *request = NULL;
	int error = 0;

	if (replace->retired) {
		request = old_counters(replace, count);
		error = PTR_ERR_OR_ZERO(request);
	}
	if (error == -EINTR)
		return error;
	if (error)
		request = NULL;
	if (request) {
		if (copy_to_user(to, request->reply, size))
			error = -EFAULT;
	} else if (clear_user(to, size)) {
		error = -EFAULT;
	}
	bpfilter_request_put(request);
	return error;
}

static int copy_replace(struct bpfilter_request *request, sockptr_t from, unsigned int length,
			struct ipt_replace *replace)
{
	const u32 head = bpfilter_caller_layout()->replace;

	if (length < head)
		return -EINVAL;
	if (copy_from_sockptr(replace, from, head))
		return -EFAULT;
	if (replace->num_counters >= INT_MAX / sizeof(struct xt_counters))
		return -ENOMEM;
	if (replace->num_counters == 0)
		return -EINVAL;
	if (length < (u64)head + replace->size)
		return -EINVAL;
	if (replace->size >= BPFILTER_PAYLOAD_MAX - head)
		return -ENOMEM;
	replace->name[sizeof(replace->name) - 1] = '\0';
	return bpfilter_caller_copy(request, from, head, head + replace->size, replace, head);
}

/* The table is in force: the caller has succeeded, whatever comes now. */
static void finish(struct bpfilter_request *request, const struct ipt_replace *replace)
{
	int error;

	/* What it used, others may remove as soon as the caller knows. */
	if (request->retired)
		bpfilter_version_end(request->retired);
	error = give_old_counters(request, replace->num_counters,
				  bpfilter_caller_counters(replace));
	if (error && error != -EINTR)
		pr_warn_ratelimited("counters of the replaced table are lost (error %d)\n", error);
}

/* The same again, with what became of the entries that were to be checked. */
static struct bpfilter_request *new_checked(struct bpfilter_request *asked,
					    struct bpfilter_instances *instances)
{
	struct bpfilter_request *request;

	request = bpfilter_request_new(BPFILTER_OP_REPLACE, get_net(asked->net),
				       asked->header.family);
	if (!request)
		return NULL;
	request->header.flags = asked->header.flags | BPFILTER_REQUEST_CHECKED;
	swap(request->body, asked->body);
	request->body_length = asked->body_length;
	swap(request->reply, asked->reply);
	request->instances = instances;
	request->instance_bytes = bpfilter_instances_bytes(instances);
	return request;
}

/* The helper has said what is to be checked in the caller's name: in this thread, that is. */
static int check_and_replace(struct bpfilter_request *asked, const struct ipt_replace *replace)
{
	struct bpfilter_instances *instances = bpfilter_check_carry_out(asked);
	struct bpfilter_request *request;
	int error;

	if (IS_ERR(instances))
		return PTR_ERR(instances);
	request = new_checked(asked, instances);
	if (!request) {
		bpfilter_instances_destroy(instances);
		return -ENOMEM;
	}
	error = bpfilter_caller_perform(request, replace->name, replace->num_counters);
	bpfilter_instances_destroy(bpfilter_queue_withdraw(request));
	if (!error)
		finish(request, replace);
	bpfilter_request_put(request);
	return error;
}

int bpfilter_replace(struct bpfilter_request *request, sockptr_t from, unsigned int length)
{
	struct ipt_replace replace = {};
	size_t counters_size;
	int error;

	error = copy_replace(request, from, length, &replace);
	if (!error && bpfilter_is_narrow())
		error = bpfilter_widen(request);
	if (error)
		return error;
	/* Memory for old counters is had before, as nothing may fail after the COMMIT. */
	counters_size = replace.num_counters * sizeof(struct xt_counters);
	if (counters_size <= BPFILTER_PAYLOAD_MAX) {
		request->reply = kvmalloc(counters_size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!request->reply)
			return -ENOMEM;
	}
	error = bpfilter_caller_perform(request, replace.name, replace.num_counters);
	if (error)
		return error;
	if (!bpfilter_queue_is_committed(request))
		return check_and_replace(request, &replace);
	finish(request, &replace);
	return 0;
}
