/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lines of a traced packet: one with nf_trace set, by TRACE in raw or by nft. For each rule
 * that it matches there is what ip_tables prints. Which ones these are the programs tell, whom
 * nobody trusts; what a rule is called follows from the bytes that its caller gave.
 */
#ifndef KMOD_PACKET_TRACE_H
#define KMOD_PACKET_TRACE_H

#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/types.h>

struct bpfilter_trace_counts;
struct bpfilter_version;

/* A packet at a hook. */
struct bpfilter_trace {
	const struct bpfilter_version *version;
	const struct sk_buff *skb;
	const struct nf_hook_state *state;
	/* 0 at first */
	u32 cost; /* of all of it, so far */
	u32 first; /* offset of the hook's first rule, */
	u32 first_number;
	bool has_first; /* if these are known */
};

static inline bool bpfilter_is_traced(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NETFILTER_XT_TARGET_TRACE)
	return skb->nf_trace;
#else
	return false;
#endif
}

/* It has matched this one. */
void bpfilter_trace_rule(struct bpfilter_trace *trace, u32 rule);

/*
 * For programs that do not say so: called before they run, and behind that. What was matched is
 * what has counted meanwhile, on this CPU. NULL: no memory, or too many rules;
 * and nothing is printed.
 */
struct bpfilter_trace_counts *bpfilter_trace_begin(struct bpfilter_trace *trace);
void bpfilter_trace_end(struct bpfilter_trace *trace, struct bpfilter_trace_counts *counts);

#endif /* KMOD_PACKET_TRACE_H */
