// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/bottom_half.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/math.h>
#include <linux/netdevice.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/sch_generic.h>

#include <bpfilter/context.h>

#include "base/netns.h"
#include "packet/hook.h"
#include "packet/instance.h"
#include "packet/nat.h"
#include "packet/table.h"
#include "packet/trace.h"
#include "packet/version.h"

static void write_name(char *to, const struct net_device *device)
{
	BUILD_BUG_ON(BPFILTER_IFNAME_LEN != IFNAMSIZ);
	if (device)
		memcpy(to, device->name, BPFILTER_IFNAME_LEN);
	else
		memset(to, 0, BPFILTER_IFNAME_LEN);
}

/* What a match on the sender's hardware address asks, as ip6t_eui64 and xt_mac do. */
static __u32 link_of(const struct sk_buff *skb)
{
	if (!skb->dev || skb->dev->type != ARPHRD_ETHER)
		return BPFILTER_LINK_OTHER;
	if (!skb_mac_header_was_set(skb) || skb_mac_header_len(skb) < ETH_HLEN)
		return BPFILTER_LINK_MISSING;
	return BPFILTER_LINK_ETHERNET;
}

/* As the match conntrack sees it. */
static __u32 connection_of(const struct sk_buff *skb)
{
	enum ip_conntrack_info info;
	const struct nf_conn *connection = nf_ct_get(skb, &info);
	__u32 state;

	if (!connection)
		return info == IP_CT_UNTRACKED ? XT_CONNTRACK_STATE_UNTRACKED :
						 XT_CONNTRACK_STATE_INVALID;
	state = XT_CONNTRACK_STATE_BIT(info);
	if (test_bit(IPS_SRC_NAT_BIT, &connection->status))
		state |= XT_CONNTRACK_STATE_SNAT;
	if (test_bit(IPS_DST_NAT_BIT, &connection->status))
		state |= XT_CONNTRACK_STATE_DNAT;
	return state;
}

static void fill(struct bpfilter_context *context, const struct bpfilter_version *version,
		 const struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (version->devices) {
		write_name(context->in, state->in);
		write_name(context->out, state->out);
	}
	if (version->link)
		context->link = link_of(skb);
	if (version->connection)
		context->connection = connection_of(skb);
}

static unsigned int verdict_of(unsigned int result)
{
	switch (result) {
	case BPFILTER_ACCEPT:
		return NF_ACCEPT;
	case BPFILTER_QUEUE:
		return NF_QUEUE_NR(0);
	default:
		return NF_DROP;
	}
}

/*
 * The program learns from ctx->cb[0] which element is its own. It may write there, no further;
 * then IP gets its bytes back.
 */
static __always_inline unsigned int run_walk(const struct bpfilter_version *version,
					     struct sk_buff *skb,
					     const struct nf_hook_state *state, u32 element)
{
	u32 *number = (u32 *)qdisc_skb_cb(skb)->data;
	const u32 saved = *number;
	unsigned int result;

	*number = element;
	result = bpf_prog_run(version->program[state->hook], skb);
	*number = saved;
	return result;
}

/*
 * How often a program may ask to be run again: for a way as long as any that ends. A run is so many
 * steps, or as many as there are up to a call.
 */
#define RUNS_MAX BIT(20)
#define STEPS_OF_RUN 8

/* Behind one more step that is a run of its own: as many as if it were none. */
static u32 add_step(u32 steps, unsigned int result)
{
	steps++;
	return result == BPFILTER_CALL ? round_up(steps, STEPS_OF_RUN) : steps;
}

/* So many are under way on this CPU, but for the one that runs: each of them is inside a call. */
static DEFINE_PER_CPU(u32, depth);

static unsigned int call(const struct bpfilter_version *version, struct sk_buff *skb,
			 struct xt_action_param *param, struct bpfilter_context *context)
{
	unsigned int verdict;

	this_cpu_inc(depth);
	verdict = bpfilter_instances_call(version->instances, context, skb, param);
	this_cpu_dec(depth);
	return verdict;
}

/* No rule's, in the place of `counted`. */
#define NONE_COUNTED U32_MAX

static bool is_rule(u32 counted)
{
	return counted != NONE_COUNTED && counted != BPFILTER_WITHIN;
}

/* Only as far as a rule; what counted. A line says of the packet how it came to the rule. */
static noinline u32 run_step(struct bpfilter_trace *trace, struct sk_buff *skb, u32 element,
			     unsigned int *result)
{
	struct bpfilter_context *context = bpfilter_version_element(trace->version, element);
	const u32 before = skb->mark;
	u32 counted, after;

	context->counted = NONE_COUNTED;
	*result = run_walk(trace->version, skb, trace->state, element | BPFILTER_STEP);
	counted = READ_ONCE(context->counted);
	if (is_rule(counted) && bpfilter_is_traced(skb)) {
		after = skb->mark;
		skb->mark = before;
		/* A console that sends packets of its own has them walk as a call would. */
		this_cpu_inc(depth);
		bpfilter_trace_rule(trace, counted / 16);
		this_cpu_dec(depth);
		skb->mark = after;
	}
	return counted;
}

/* The packet is to be dropped behind the rule that it is in: it is no more. */
static bool is_behind(unsigned int result, u32 counted)
{
	return result != BPFILTER_CALL && counted != BPFILTER_WITHIN;
}

/* What a target has taken is not ours to drop. */
static unsigned int dropped(unsigned int verdict)
{
	return (verdict & NF_VERDICT_MASK) == NF_STOLEN ? verdict : NF_DROP;
}

/* The program has not decided yet. */
static noinline unsigned int go_on(const struct bpfilter_version *version, struct sk_buff *skb,
				   const struct nf_hook_state *state, u32 element,
				   unsigned int result)
{
	struct bpfilter_context *context = bpfilter_version_element(version, element);
	struct bpfilter_trace trace = { version, skb, state };
	/* One that is traced has not been run yet. */
	u32 steps = bpfilter_is_traced(skb) ? 0 : STEPS_OF_RUN;
	u32 counted = NONE_COUNTED;
	struct xt_action_param param;
	unsigned int verdict;

	bpfilter_instances_begin(&param, skb, state);
	while ((result == BPFILTER_AGAIN || result == BPFILTER_CALL) &&
	       steps < RUNS_MAX * STEPS_OF_RUN) {
		if (result == BPFILTER_CALL) {
			verdict = call(version, skb, &param, context);
			if (unlikely(param.hotdrop && is_rule(counted)))
				return dropped(verdict);
			/* The packet may be somebody else's by now. */
			if (verdict != XT_CONTINUE)
				return verdict;
			if (version->connection)
				context->connection = connection_of(skb);
		}
		if (unlikely(bpfilter_is_traced(skb) || param.hotdrop)) {
			counted = run_step(&trace, skb, element, &result);
			steps = add_step(steps, result);
			if (param.hotdrop && is_behind(result, counted))
				return NF_DROP;
		} else {
			result = run_walk(version, skb, state, element);
			counted = NONE_COUNTED;
			steps += STEPS_OF_RUN;
		}
	}
	return verdict_of(result);
}

static unsigned int walk(const struct bpfilter_version *version, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	const u32 outer = this_cpu_read(depth);
	const u32 element = smp_processor_id() * BPFILTER_NESTING + outer;
	struct bpfilter_context *context = bpfilter_version_element(version, element);
	unsigned int result;

	if (unlikely(outer == BPFILTER_NESTING))
		return NF_DROP;
	if (version->looks)
		fill(context, version, skb, state);
	context->root = version->root[state->hook];
	context->again = 0;
	if (unlikely(bpfilter_is_traced(skb)))
		result = BPFILTER_AGAIN;
	else
		result = run_walk(version, skb, state, element);
	if (unlikely(result >= BPFILTER_AGAIN))
		return go_on(version, skb, state, element, result);
	return verdict_of(result);
}

static __always_inline unsigned int run_code(const struct bpfilter_version *version,
					     struct sk_buff *skb,
					     const struct nf_hook_state *state)
{
	if (version->looks)
		fill(this_cpu_ptr(version->context), version, skb, state);
	return verdict_of(bpf_prog_run(version->program[state->hook], skb));
}

static noinline unsigned int run_code_traced(const struct bpfilter_version *version,
					     struct sk_buff *skb,
					     const struct nf_hook_state *state)
{
	struct bpfilter_trace trace = { version, skb, state };
	struct bpfilter_trace_counts *counts = bpfilter_trace_begin(&trace);
	const unsigned int verdict = run_code(version, skb, state);

	bpfilter_trace_end(&trace, counts);
	return verdict;
}

static unsigned int run(const struct bpfilter_version *version, struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	if (version->elements)
		return walk(version, skb, state);
	if (unlikely(bpfilter_is_traced(skb)))
		return run_code_traced(version, skb, state);
	return run_code(version, skb, state);
}

static bool is_drop(unsigned int verdict)
{
	return (verdict & NF_VERDICT_MASK) == NF_DROP;
}

static unsigned int evaluate(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct bpfilter_table *table = priv;
	unsigned int verdict;

	/*
	 * netfilter is inside RCU. The context is this CPU's until bottom halves are on. A target
	 * may have any verdict, as in ip_tables.
	 */
	local_bh_disable();
	verdict = run(rcu_dereference(table->version), skb, state);
	local_bh_enable();

	if (is_drop(verdict) && table->drops && state->hook == NF_INET_LOCAL_IN)
		this_cpu_inc(*table->drops);
	return verdict;
}

bool bpfilter_hook_is_of(const struct nf_hook_entry *entry, const char *name)
{
	const struct bpfilter_table *table = entry->priv;

	return entry->hook == evaluate && !strcmp(table->name, name);
}

/* What the route of a packet was chosen by. All bytes are compared. */
struct route_key {
	struct in6_addr source;
	struct in6_addr destination;
	u32 mark;
	u32 class; /* IPv4: TOS; IPv6: traffic class and flow label */
	u32 hop_limit; /* IPv6 */
};

static struct route_key route_key(const struct sk_buff *skb, u8 family)
{
	struct route_key key = { .mark = skb->mark };

	if (family == NFPROTO_IPV4) {
		key.source.s6_addr32[0] = ip_hdr(skb)->saddr;
		key.destination.s6_addr32[0] = ip_hdr(skb)->daddr;
		key.class = ip_hdr(skb)->tos;
	} else {
		key.source = ipv6_hdr(skb)->saddr;
		key.destination = ipv6_hdr(skb)->daddr;
		key.class = (__force u32)ip6_flowinfo(ipv6_hdr(skb));
		key.hop_limit = ipv6_hdr(skb)->hop_limit;
	}
	return key;
}

static int reroute(struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (state->pf == NFPROTO_IPV4)
		return ip_route_me_harder(state->net, state->sk, skb, RTN_UNSPEC);
	return nf_ip6_route_me_harder(state->net, state->sk, skb);
}

/* BPFILTER_HOOK_REROUTE */
static unsigned int evaluate_and_reroute(void *priv, struct sk_buff *skb,
					 const struct nf_hook_state *state)
{
	const struct route_key before = route_key(skb, state->pf);
	const unsigned int verdict = evaluate(priv, skb, state);
	struct route_key after;
	int error;

	/* Nothing of a packet that a target took may be touched. */
	if (is_drop(verdict) || (verdict & NF_VERDICT_MASK) == NF_STOLEN)
		return verdict;
	after = route_key(skb, state->pf);
	if (!memcmp(&before, &after, sizeof(before)))
		return verdict;
	error = reroute(skb, state);
	return error < 0 ? NF_DROP_ERR(error) : verdict;
}

void bpfilter_hook_describe(struct bpfilter_table *table, u32 number,
			    const struct bpfilter_commit_hook *hook)
{
	const bool rerouting = hook->flags & BPFILTER_HOOK_REROUTE;

	table->hook[number].hook = rerouting ? evaluate_and_reroute : evaluate;
	table->hook[number].priv = table;
	table->hook[number].pf = table->family;
	table->hook[number].hooknum = hook->hook;
	table->hook[number].priority = hook->priority;
	table->hook_flags[number] = hook->flags;
}

static int register_one(struct bpfilter_table *table, u32 number)
{
	if (table->hook_flags[number] & BPFILTER_HOOK_NAT)
		return bpfilter_nat_register(table->net, &table->hook[number]);
	return nf_register_net_hook(table->net, &table->hook[number]);
}

static void unregister_one(struct bpfilter_table *table, u32 number)
{
	if (table->hook_flags[number] & BPFILTER_HOOK_NAT)
		bpfilter_nat_unregister(table->net, &table->hook[number]);
	else
		nf_unregister_net_hook(table->net, &table->hook[number]);
}

int bpfilter_hook_register(struct bpfilter_table *table)
{
	int error = 0;
	u32 i;

	for (i = 0; i < table->hook_count; i++) {
		error = register_one(table, i);
		if (error)
			goto err_register;
	}
	return 0;

err_register:
	while (i--)
		unregister_one(table, i);
	return error;
}

static void unregister_all(struct bpfilter_table *table)
{
	u32 i;

	for (i = 0; i < table->hook_count; i++)
		unregister_one(table, i);
}

void bpfilter_hook_end(struct net *net)
{
	struct bpfilter_table *table;

	list_for_each_entry(table, &bpfilter_net(net)->tables, in_net)
		unregister_all(table);
}
