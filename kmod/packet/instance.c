// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/ip.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include <bpfilter/context.h>

#include "base/keep.h"
#include "packet/entry.h"
#include "packet/instance.h"

struct instance {
	union {
		struct xt_entry_match *match;
		struct xt_entry_target *target;
	};
	u8 hooks; /* it is called from no other */
	bool is_target;
	/* Of its rule, which some rely on: */
	bool needs_transport;
	bool is_inverted;
	u16 protocol;
};

struct bpfilter_instances {
	struct net *net;
	struct work_struct work; /* of those that are left behind; who pays for them until then */
	struct bpfilter_charge charge;
	unsigned long bytes;
	void *entries; /* the copies */
	u32 room;
	u32 count; /* that were checked */
	u8 family;
	struct instance instance[];
};

struct bpfilter_instances *bpfilter_instances_new(struct net *net, u8 family, u32 count,
						  size_t bytes)
{
	const gfp_t flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
	struct bpfilter_instances *instances;

	instances = kvzalloc(struct_size(instances, instance, count), flags);
	if (!instances)
		return NULL;
	instances->entries = kvmalloc(bytes, flags);
	if (!instances->entries) {
		kvfree(instances);
		return NULL;
	}
	instances->net = net;
	instances->family = family;
	instances->room = count;
	instances->bytes = struct_size(instances, instance, count) + bytes;
	return instances;
}

void *bpfilter_instances_entry(struct bpfilter_instances *instances, size_t offset)
{
	return instances->entries + offset;
}

unsigned long bpfilter_instances_bytes(const struct bpfilter_instances *instances)
{
	return instances->bytes;
}

static void append(struct bpfilter_instances *instances, const struct instance *instance)
{
	instances->instance[instances->count++] = *instance;
}

static struct instance new_instance(const struct bpfilter_entry *entry, u32 hooks)
{
	return (struct instance){
		.hooks = hooks,
		.needs_transport = entry->needs_transport,
		.is_inverted = entry->is_inverted,
		.protocol = entry->protocol,
	};
}

/* As find_check_match() of ip_tables. */
static int add_match(struct bpfilter_instances *instances, const struct bpfilter_entry *entry,
		     struct xt_entry_match *given, struct xt_mtchk_param *param)
{
	struct instance instance = new_instance(entry, param->hook_mask);
	struct xt_match *match;
	int error;

	match = xt_request_find_match(param->family, given->u.user.name, given->u.user.revision);
	if (IS_ERR(match))
		return PTR_ERR(match);
	/* It lies where the name was. */
	given->u.kernel.match = match;
	param->match = match;
	param->matchinfo = given->data;
	error = xt_check_match(param, given->u.match_size - sizeof(*given), entry->protocol,
			       entry->is_inverted);
	if (error) {
		module_put(match->me);
		return error;
	}
	instance.match = given;
	append(instances, &instance);
	return 0;
}

/* As find_check_entry() and check_target(). */
static int add_target(struct bpfilter_instances *instances, const struct bpfilter_entry *entry,
		      struct xt_entry_target *given, struct xt_tgchk_param *param)
{
	struct instance instance = new_instance(entry, param->hook_mask);
	struct xt_target *target;
	int error;

	target = xt_request_find_target(param->family, given->u.user.name, given->u.user.revision);
	if (IS_ERR(target))
		return PTR_ERR(target);
	given->u.kernel.target = target;
	param->target = target;
	param->targinfo = given->data;
	error = xt_check_target(param, given->u.target_size - sizeof(*given), entry->protocol,
				entry->is_inverted);
	if (error) {
		module_put(target->me);
		return error;
	}
	instance.target = given;
	instance.is_target = true;
	append(instances, &instance);
	return 0;
}

static void end_match(const struct bpfilter_instances *instances, struct xt_entry_match *given)
{
	const struct xt_mtdtor_param param = {
		.net = instances->net,
		.match = given->u.kernel.match,
		.matchinfo = given->data,
		.family = instances->family,
	};

	if (param.match->destroy)
		param.match->destroy(&param);
	module_put(param.match->me);
}

static void end_target(const struct bpfilter_instances *instances, struct xt_entry_target *given)
{
	const struct xt_tgdtor_param param = {
		.net = instances->net,
		.target = given->u.kernel.target,
		.targinfo = given->data,
		.family = instances->family,
	};

	if (param.target->destroy)
		param.target->destroy(&param);
	module_put(param.target->me);
}

/* All from that one on, in their order. */
static void end(struct bpfilter_instances *instances, u32 first)
{
	u32 i;

	for (i = first; i < instances->count; i++) {
		const struct instance *instance = &instances->instance[i];

		if (instance->is_target)
			end_target(instances, instance->target);
		else
			end_match(instances, instance->match);
		cond_resched();
	}
	instances->count = first;
}

static int add_matches(struct bpfilter_instances *instances, const struct bpfilter_entry *entry,
		       const char *table, void *bytes, u32 hooks)
{
	struct xt_mtchk_param param = {
		.net = instances->net,
		.table = table,
		.entryinfo = bytes,
		.hook_mask = hooks,
		.family = instances->family,
	};
	struct xt_entry_match *given;
	u32 offset;
	int error;

	for (offset = entry->head; offset < entry->target; offset += given->u.match_size) {
		given = bytes + offset;
		error = add_match(instances, entry, given, &param);
		if (error)
			return error;
	}
	return 0;
}

int bpfilter_instances_add(struct bpfilter_instances *instances, const char *table, void *bytes,
			   u32 hooks)
{
	const struct bpfilter_entry entry = bpfilter_entry_of(bytes, instances->family);
	struct xt_tgchk_param param = {
		.net = instances->net,
		.table = table,
		.entryinfo = bytes,
		.hook_mask = hooks,
		.family = instances->family,
	};
	const u32 first = instances->count;
	int error;

	if (WARN_ON_ONCE(bpfilter_entry_count(bytes, instances->family) > instances->room - first))
		return -EINVAL;
	error = add_matches(instances, &entry, table, bytes, hooks);
	if (!error)
		error = add_target(instances, &entry, bytes + entry.target, &param);
	if (error)
		end(instances, first);
	return error;
}

void bpfilter_instances_destroy(struct bpfilter_instances *instances)
{
	if (!instances)
		return;
	end(instances, 0);
	kvfree(instances->entries);
	kvfree(instances);
}

/* A few at a time, whoever left them. */
static struct workqueue_struct *left_behind;

static void destroy_left(struct work_struct *work)
{
	struct bpfilter_instances *instances = container_of(work, struct bpfilter_instances, work);
	const struct bpfilter_charge charge = instances->charge;
	struct net *net = instances->net;

	bpfilter_instances_destroy(instances);
	bpfilter_charge_end(&charge);
	put_net(net);
}

void bpfilter_instances_leave(struct bpfilter_instances *instances,
			      const struct bpfilter_charge *charge)
{
	if (!instances) {
		bpfilter_charge_end(charge);
		return;
	}
	get_net(instances->net);
	instances->charge = *charge;
	INIT_WORK(&instances->work, destroy_left);
	queue_work(left_behind, &instances->work);
}

int bpfilter_instances_init(void)
{
	left_behind = alloc_workqueue("bpfilter_instances", WQ_UNBOUND, 8);
	return left_behind ? 0 : -ENOMEM;
}

void bpfilter_instances_exit(void)
{
	destroy_workqueue(left_behind);
}

/* As xt_data_to_user(): the rest is nobody's business. */
static void show(void *to, const void *from, u32 length, u32 size, u32 usersize)
{
	const u32 shown = min(usersize ? usersize : size, length);

	memcpy(to, from, shown);
	memset(to + shown, 0, length - shown);
}

static void show_match(const struct xt_entry_match *checked, struct xt_entry_match *given)
{
	const struct xt_match *match = checked->u.kernel.match;

	strscpy_pad(given->u.user.name, match->name, sizeof(given->u.user.name));
	given->u.user.revision = match->revision;
	show(given->data, checked->data, checked->u.match_size - sizeof(*checked),
	     match->matchsize, match->usersize);
}

static void show_target(const struct xt_entry_target *checked, struct xt_entry_target *given)
{
	const struct xt_target *target = checked->u.kernel.target;

	strscpy_pad(given->u.user.name, target->name, sizeof(given->u.user.name));
	given->u.user.revision = target->revision;
	show(given->data, checked->data, checked->u.target_size - sizeof(*checked),
	     target->targetsize, target->usersize);
}

void bpfilter_instances_show(const void *bytes, u8 family, void *given)
{
	const struct bpfilter_entry entry = bpfilter_entry_of(bytes, family);
	const struct xt_entry_match *match;
	u32 offset;

	for (offset = entry.head; offset < entry.target; offset += match->u.match_size) {
		match = bytes + offset;
		show_match(match, given + offset);
	}
	show_target(bytes + entry.target, given + entry.target);
}

void bpfilter_instances_begin(struct xt_action_param *param, const struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	*param = (struct xt_action_param){ .state = state };
	if (state->pf != NFPROTO_IPV4)
		return;
	param->thoff = ip_hdrlen(skb);
	param->fragoff = ntohs(ip_hdr(skb)->frag_off) & IP_OFFSET;
}

static bool is_of_protocol(const struct instance *instance, int protocol)
{
	return !instance->protocol || (protocol == instance->protocol) != instance->is_inverted;
}

/* As ip6_packet_match(), for each rule anew. Its protocol, or less than 0: there is none. */
static int find_transport(const struct sk_buff *skb, struct xt_action_param *param)
{
	unsigned short fragment;
	int protocol;

	param->thoff = 0;
	protocol = ipv6_find_hdr(skb, &param->thoff, -1, &fragment, NULL);
	if (protocol >= 0)
		param->fragoff = fragment;
	else if (!fragment)
		param->hotdrop = true;
	return protocol;
}

/*
 * A rule that does not ask for the header does not ask for a protocol either. Matches that look
 * into it find themselves at the IPv6 header, and the fragment offset is what it was for the rule
 * before: such is ip6_tables, where it is lax.
 */
static bool is_for_ipv6(const struct instance *instance, const struct sk_buff *skb,
			struct xt_action_param *param)
{
	int protocol;

	if (!instance->needs_transport) {
		param->thoff = 0;
		return true;
	}
	protocol = find_transport(skb, param);
	return protocol >= 0 && is_of_protocol(instance, protocol);
}

/* Does its rule match, as far as that goes? What was checked for TCP is not called for others. */
static bool is_for(const struct instance *instance, const struct sk_buff *skb,
		   struct xt_action_param *param)
{
	if (param->state->pf == NFPROTO_IPV4)
		return is_of_protocol(instance, ip_hdr(skb)->protocol);
	return is_for_ipv6(instance, skb, param);
}

/* BPFILTER_CALL_TRANSPORT: what is found is left in `param`. */
static unsigned int note_transport(struct bpfilter_context *context, const struct sk_buff *skb,
				   struct xt_action_param *param)
{
	if (param->state->pf != NFPROTO_IPV6)
		return NF_DROP;
	context->answer = find_transport(skb, param) >= 0;
	return param->hotdrop ? NF_DROP : XT_CONTINUE;
}

/* One that matches may want the packet dropped all the same: behind its rule. */
static unsigned int call_match(const struct instance *instance, struct bpfilter_context *context,
			       const struct sk_buff *skb, struct xt_action_param *param)
{
	bool answer;

	param->match = instance->match->u.kernel.match;
	param->matchinfo = instance->match->data;
	answer = param->match->match(skb, param);
	context->answer = answer;
	return param->hotdrop && !answer ? NF_DROP : XT_CONTINUE;
}

static unsigned int call_target(const struct instance *instance, struct sk_buff *skb,
				struct xt_action_param *param)
{
	param->target = instance->target->u.kernel.target;
	param->targinfo = instance->target->data;
	return param->target->target(skb, param);
}

unsigned int bpfilter_instances_call(const struct bpfilter_instances *instances,
				     struct bpfilter_context *context, struct sk_buff *skb,
				     struct xt_action_param *param)
{
	/* The helper can write there, at any time. */
	const u32 number = READ_ONCE(context->call);
	const struct instance *instance;

	if (!instances)
		return NF_DROP;
	if (number == BPFILTER_CALL_TRANSPORT)
		return note_transport(context, skb, param);
	if (number >= instances->count)
		return NF_DROP;
	instance = &instances->instance[array_index_nospec(number, instances->count)];
	if (!(instance->hooks & BIT(param->state->hook)))
		return NF_DROP;
	if (!is_for(instance, skb, param)) {
		context->answer = 0;
		return param->hotdrop ? NF_DROP : XT_CONTINUE;
	}
	if (instance->is_target)
		return call_target(instance, skb, param);
	return call_match(instance, context, skb, param);
}
