// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "packet/entry.h"
#include "packet/instance.h"
#include "request/check.h"
#include "request/request.h"

/* So many may a table have. */
#define INSTANCES_MAX BIT(20)
/* Entries begin at multiples of it, in the payload and in the copy. */
#define ALIGNMENT 8

struct bpfilter_check_list {
	int error; /* of what comes behind the last entry */
	u32 count;
	u32 instances; /* that the entries become */
	size_t bytes; /* of their copies */
	struct bpfilter_check_entry entry[];
};

/* The entries of the payload of a native REPLACE. */
static void *entries_of(const struct bpfilter_request *request)
{
	return request->body + sizeof(struct ipt_replace);
}

static u32 size_of_entries(const struct bpfilter_request *request)
{
	return request->body_length - sizeof(struct ipt_replace);
}

static u32 valid_hooks(const struct bpfilter_request *request)
{
	const struct ipt_replace *replace = request->body;

	return replace->valid_hooks & GENMASK(BPFILTER_HOOKS_MAX - 1, 0);
}

static bool is_valid(const struct bpfilter_request *request, const struct bpfilter_check *check)
{
	return request->header.opcode == BPFILTER_OP_REPLACE && request->body &&
	       !(request->header.flags & BPFILTER_REQUEST_CHECKED) && check->error <= 0 &&
	       check->error >= -MAX_ERRNO &&
	       check->count <= size_of_entries(request) / sizeof(struct ipt_entry);
}

/* The payload does not change before the caller comes to it. */
static int look_at_entry(const struct bpfilter_request *request, struct bpfilter_check_list *list,
			 const struct bpfilter_check_entry *entry, u32 from)
{
	const u8 family = request->header.family;
	const u32 size = size_of_entries(request);
	const void *bytes = entries_of(request) + entry->offset;
	int error;

	if (entry->offset < from || entry->offset > size || entry->offset % ALIGNMENT ||
	    entry->hooks & ~valid_hooks(request))
		return -EINVAL;
	error = bpfilter_entry_measure(bytes, size - entry->offset, family);
	if (!error)
		error = bpfilter_entry_check(bytes, family);
	if (error)
		return error;
	list->instances += bpfilter_entry_count(bytes, family);
	list->bytes += ALIGN(bpfilter_entry_of(bytes, family).next, ALIGNMENT);
	return 0;
}

static int look(const struct bpfilter_request *request, struct bpfilter_check_list *list)
{
	u32 i, from = 0;
	int error;

	for (i = 0; i < list->count; i++) {
		const struct bpfilter_check_entry *entry = &list->entry[i];

		error = look_at_entry(request, list, entry, from);
		if (error)
			return error;
		from = entry->offset +
		       bpfilter_entry_of(entries_of(request) + entry->offset,
					 request->header.family).next;
		cond_resched();
	}
	return 0;
}

static struct bpfilter_check_list *new_list(const struct bpfilter_check *check)
{
	struct bpfilter_check_list *list;

	list = kvzalloc(struct_size(list, entry, check->count), GFP_KERNEL | __GFP_NOWARN);
	if (!list)
		return ERR_PTR(-ENOMEM);
	list->error = bpfilter_request_error(check->error);
	list->count = check->count;
	if (copy_from_user(list->entry, u64_to_user_ptr(check->entries),
			   array_size(check->count, sizeof(list->entry[0])))) {
		kvfree(list);
		return ERR_PTR(-EFAULT);
	}
	return list;
}

int bpfilter_check_take(struct bpfilter_request *request, const struct bpfilter_check *check)
{
	struct bpfilter_check_list *list;
	int error;

	if (!is_valid(request, check))
		return -EINVAL;
	list = new_list(check);
	if (IS_ERR(list))
		return PTR_ERR(list);
	error = look(request, list);
	if (error) {
		kvfree(list);
		return error;
	}
	kvfree(request->check);
	request->check = list;
	return 0;
}

static struct bpfilter_instances *new_instances(const struct bpfilter_request *request)
{
	const struct bpfilter_check_list *list = request->check;
	struct bpfilter_instances *instances = NULL;

	if (list->instances <= INSTANCES_MAX)
		instances = bpfilter_instances_new(request->net, request->header.family,
						   list->instances, list->bytes);
	return instances ? instances : ERR_PTR(-ENOMEM);
}

/* Copied first: what is checked is what will be called. */
static int add(struct bpfilter_instances *instances, const struct bpfilter_request *request,
	       const struct bpfilter_check_entry *entry, size_t place)
{
	void *copy = bpfilter_instances_entry(instances, place);
	const void *bytes = entries_of(request) + entry->offset;
	const u8 family = request->header.family;

	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	memcpy(copy, bytes, bpfilter_entry_of(bytes, family).next);
	bpfilter_entry_prepare(copy, family, entry->hooks);
	return bpfilter_instances_add(instances, bpfilter_request_table(request), copy,
				      entry->hooks);
}

/* Does that with each entry and its copy, by their offsets, until there is an error. */
static int add_all(struct bpfilter_instances *instances, const struct bpfilter_request *request)
{
	const struct bpfilter_check_list *list = request->check;
	size_t place = 0;
	u32 i;

	for (i = 0; i < list->count; i++) {
		const void *bytes = entries_of(request) + list->entry[i].offset;
		const int error = add(instances, request, &list->entry[i], place);

		if (error)
			return error;
		place += ALIGN(bpfilter_entry_of(bytes, request->header.family).next, ALIGNMENT);
	}
	return list->error;
}

/* Nothing of its layout changes by that. */
static void show_all(struct bpfilter_instances *instances, struct bpfilter_request *request)
{
	const struct bpfilter_check_list *list = request->check;
	const u8 family = request->header.family;
	size_t place = 0;
	u32 i;

	for (i = 0; i < list->count; i++) {
		void *given = entries_of(request) + list->entry[i].offset;

		bpfilter_instances_show(bpfilter_instances_entry(instances, place), family, given);
		place += ALIGN(bpfilter_entry_of(given, family).next, ALIGNMENT);
		cond_resched();
	}
}

struct bpfilter_instances *bpfilter_check_carry_out(struct bpfilter_request *request)
{
	struct bpfilter_instances *instances = new_instances(request);
	int error;

	if (IS_ERR(instances))
		return instances;
	error = add_all(instances, request);
	if (error) {
		bpfilter_instances_destroy(instances);
		return ERR_PTR(error);
	}
	show_all(instances, request);
	return instances;
}
