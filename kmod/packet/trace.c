// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/overflow.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/netfilter/nf_log.h>

#include <bpfilter/pipe.h>

#include "packet/entry.h"
#include "packet/trace.h"
#include "packet/version.h"

/*
 * What one packet at one hook may cost, in rules looked at, and what a line counts for. To find out
 * what a rule is called takes as long as in ip_tables, all before it in its hook; and the programs
 * may never come to an end with them.
 */
#define COST_MAX BIT(24)
#define COST_OF_LINE BIT(8)

static const char *const hook_names[] = {
	[NF_INET_PRE_ROUTING] = "PREROUTING",
	[NF_INET_LOCAL_IN] = "INPUT",
	[NF_INET_FORWARD] = "FORWARD",
	[NF_INET_LOCAL_OUT] = "OUTPUT",
	[NF_INET_POST_ROUTING] = "POSTROUTING",
};

static const struct nf_loginfo info = {
	.type = NF_LOG_TYPE_LOG,
	.u.log = {
		.level = LOGLEVEL_WARNING,
		.logflags = NF_LOG_DEFAULT_MASK,
	},
};

/* What the entries of a table are. Nobody but the helper has checked them. */
struct rule {
	const void *bytes;
	struct bpfilter_entry entry;
	const struct xt_entry_target *target;
	s32 verdict; /* of a standard target */
	u32 next; /* its size */
	bool is_standard;
	bool is_error;
};

static const struct ipt_replace *replace_of(const struct bpfilter_trace *trace)
{
	return trace->version->payload;
}

static u32 size_of_entries(const struct bpfilter_trace *trace)
{
	return trace->version->payload_length - sizeof(struct ipt_replace);
}

static bool is_unconditional(const struct rule *rule, u8 family)
{
	const size_t size = family == NFPROTO_IPV4 ? sizeof(struct ipt_ip) :
						     sizeof(struct ip6t_ip6);

	return rule->entry.target == rule->entry.head && !memchr_inv(rule->bytes, 0, size);
}

static bool is_goto(const struct rule *rule, u8 family)
{
	if (family == NFPROTO_IPV4)
		return ((const struct ipt_entry *)rule->bytes)->ip.flags & IPT_F_GOTO;
	return ((const struct ip6t_entry *)rule->bytes)->ipv6.flags & IP6T_F_GOTO;
}

/* The one at this offset; false: there is none. */
static bool read_rule(const struct bpfilter_trace *trace, u32 offset, struct rule *rule)
{
	const void *bytes = (const void *)(replace_of(trace) + 1) + offset;
	const u32 size = size_of_entries(trace);
	const u8 family = trace->version->family;
	struct bpfilter_entry entry;

	if (offset % sizeof(u64) || offset >= size ||
	    bpfilter_entry_measure(bytes, size - offset, family))
		return false;
	entry = bpfilter_entry_of(bytes, family);
	if (entry.target < entry.head || entry.target % sizeof(u64) ||
	    entry.target + sizeof(struct xt_entry_target) > entry.next)
		return false;
	rule->bytes = bytes;
	rule->entry = entry;
	rule->target = bytes + entry.target;
	rule->next = entry.next;
	rule->is_standard = !rule->target->u.user.name[0] &&
			    entry.target + sizeof(struct xt_standard_target) <= entry.next;
	if (rule->is_standard)
		rule->verdict = ((const struct xt_standard_target *)rule->target)->verdict;
	rule->is_error = !strncmp(rule->target->u.user.name, XT_ERROR_TARGET,
				  sizeof(rule->target->u.user.name)) &&
			 entry.target + sizeof(struct xt_error_target) <= entry.next;
	return true;
}

/* What a line says of a rule. */
struct name {
	const char *chain;
	const char *comment;
	u32 number;
};

/* The first of this hook, which is the same for all its lines. */
static void find_first(struct bpfilter_trace *trace)
{
	const u32 entry = replace_of(trace)->hook_entry[trace->state->hook];
	struct rule rule;
	u32 count = 0;

	while (trace->first < entry && read_rule(trace, trace->first, &rule)) {
		trace->first += rule.next;
		count++;
	}
	trace->first_number = count;
	trace->cost += count;
	trace->has_first = true;
}

/* As trace_packet() of ip_tables: one that stands before those of this hook has an odd one. */
static struct name name_of(struct bpfilter_trace *trace, u32 number)
{
	struct name name = { hook_names[trace->state->hook], "rule", 0 };
	bool is_of_user = false;
	struct rule rule;
	u32 offset, i;

	if (!trace->has_first)
		find_first(trace);
	i = trace->first_number;
	for (offset = trace->first; read_rule(trace, offset, &rule); i++, offset += rule.next) {
		trace->cost++;
		if (rule.is_error) {
			name.chain = ((const struct xt_error_target *)rule.target)->errorname;
			name.number = 0;
			is_of_user = true;
			continue;
		}
		name.number++;
		if (i != number)
			continue;
		if (rule.is_standard && rule.verdict < 0 &&
		    is_unconditional(&rule, trace->version->family))
			name.comment = is_of_user ? "return" : "policy";
		break;
	}
	return name;
}

static void print(const struct bpfilter_trace *trace, const struct name *name)
{
	const struct nf_hook_state *state = trace->state;

	nf_log_trace(state->net, state->pf, state->hook, trace->skb, state->in, state->out, &info,
		     "TRACE: %s:%.*s:%s:%u ", trace->version->table, XT_FUNCTION_MAXNAMELEN - 1,
		     name->chain, name->comment, name->number);
}

void bpfilter_trace_rule(struct bpfilter_trace *trace, u32 rule)
{
	/* First contents are policies. */
	struct name name = { hook_names[trace->state->hook], "policy", 1 };

	if (trace->cost >= COST_MAX)
		return;
	trace->cost += COST_OF_LINE;
	if (replace_of(trace))
		name = name_of(trace, rule);
	print(trace, &name);
}

/*
 * Of a table whose programs ask for no more than what is in the packet, so that a rule matches it
 * wherever it comes to it, or nowhere.
 */
struct bpfilter_trace_counts {
	u32 count;
	struct {
		u64 packets; /* of its counter, before */
		u32 offset;
		u32 back; /* rules: what the chains were called by that are under way */
	} rule[];
};

static const struct bpf_array *counters_of(const struct bpfilter_version *version)
{
	const struct bpf_map *map;

	if (!version->kept_count)
		return NULL;
	map = version->kept[0]->private_data;
	if (map->map_type != BPF_MAP_TYPE_PERCPU_ARRAY || map->value_size < sizeof(u64))
		return NULL;
	return container_of(map, struct bpf_array, map);
}

static u64 packets_of(const struct bpf_array *counters, u32 rule)
{
	const u64 __percpu *packets = counters->pptrs[rule & counters->index_mask];

	return READ_ONCE(*this_cpu_ptr(packets));
}

/* The helper makes no programs of that kind for as many, if not told to (plan::form_of()). */
#define COUNTED_MAX 8192

static u32 count_rules(struct bpfilter_trace *trace)
{
	struct rule rule;
	u32 offset = 0, count;

	for (count = 0; count <= COUNTED_MAX && read_rule(trace, offset, &rule); count++)
		offset += rule.next;
	trace->cost += count;
	return count;
}

struct bpfilter_trace_counts *bpfilter_trace_begin(struct bpfilter_trace *trace)
{
	const struct bpf_array *counters = counters_of(trace->version);
	struct bpfilter_trace_counts *counts;
	u32 count, offset = 0, i;
	struct rule rule;

	count = counters && replace_of(trace) ? count_rules(trace) : 0;
	if (count > COUNTED_MAX || (counters && count > counters->map.max_entries))
		return NULL;
	counts = kmalloc(struct_size(counts, rule, count), GFP_ATOMIC | __GFP_NOWARN);
	if (!counts)
		return NULL;
	counts->count = count;
	for (i = 0; i < count && read_rule(trace, offset, &rule); i++) {
		counts->rule[i].packets = packets_of(counters, i);
		counts->rule[i].offset = offset;
		offset += rule.next;
	}
	return counts;
}

/* From now on it is how often the rule has matched. */
static void subtract(const struct bpfilter_trace *trace, struct bpfilter_trace_counts *counts)
{
	const struct bpf_array *counters = counters_of(trace->version);
	u32 i;

	for (i = 0; i < counts->count; i++)
		counts->rule[i].packets = packets_of(counters, i) - counts->rule[i].packets;
}

/* The number of the rule that begins there; none: `count`. */
static u32 find_rule(const struct bpfilter_trace_counts *counts, u32 offset)
{
	u32 low = 0, high = counts->count;

	while (low < high) {
		const u32 middle = low + (high - low) / 2;

		if (counts->rule[middle].offset == offset)
			return middle;
		if (counts->rule[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return counts->count;
}

/* Where the packet went on behind a rule that it matched; `count`: nowhere. */
static u32 follow(const struct bpfilter_trace *trace, struct bpfilter_trace_counts *counts, u32 i,
		  u32 *depth)
{
	const u32 underflow = replace_of(trace)->underflow[trace->state->hook];
	struct rule rule;
	u32 to;

	if (!read_rule(trace, counts->rule[i].offset, &rule) || !rule.is_standard)
		return counts->count;
	if (rule.verdict == XT_RETURN)
		return *depth ? counts->rule[--*depth].back + 1 : find_rule(counts, underflow);
	if (rule.verdict < 0)
		return counts->count;
	to = find_rule(counts, rule.verdict);
	if (to != i + 1 && !is_goto(&rule, trace->version->family)) {
		if (*depth == counts->count)
			return counts->count;
		counts->rule[(*depth)++].back = i;
	}
	return to;
}

static void print_all(struct bpfilter_trace *trace, struct bpfilter_trace_counts *counts)
{
	u32 i = find_rule(counts, replace_of(trace)->hook_entry[trace->state->hook]);
	u32 depth = 0;

	while (i < counts->count && trace->cost++ < COST_MAX) {
		if (!counts->rule[i].packets) {
			i++;
			continue;
		}
		counts->rule[i].packets--;
		bpfilter_trace_rule(trace, i);
		i = follow(trace, counts, i, &depth);
	}
}

void bpfilter_trace_end(struct bpfilter_trace *trace, struct bpfilter_trace_counts *counts)
{
	if (!counts)
		return;
	if (replace_of(trace)) {
		subtract(trace, counts);
		print_all(trace, counts);
	} else {
		bpfilter_trace_rule(trace, 0);
	}
	kfree(counts);
}
