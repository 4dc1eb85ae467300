// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <net/fib_rules.h>
#include <net/ip_fib.h>
#include <net/net_namespace.h>

#include "base/symbol.h"
#include "packet/hook.h"
#include "xdp/early.h"

/*
 * Hooks that leave the addresses and the fate of packets as they are, by the names of their
 * functions and what they are part of. A priority tells nothing: anybody may have any.
 */
static const struct bpfilter_symbol harmless[] = {
	{ "ipv4_conntrack_defrag", "[nf_defrag_ipv4]" },
	{ "ipv4_conntrack_in", "[nf_conntrack]" },
	/* For packets from a bridge. A port of one has no program. */
	{ "ip_sabotage_in", "[br_netfilter]" },
};

/*
 * Addresses that are in the local table no more are looked for by all rules, under RTNL and for
 * each packet that would be dropped.
 */
#define RULES_MAX 64

/* More are as good as that: names are looked for long, and anybody may have a thousand hooks. */
#define FOUND_MAX 8

/*
 * At LOCAL_IN: those before ours. At PRE_ROUTING there is none of ours for table filter. In RCU,
 * which protects the entries, but not the nf_hook_ops that they were made from.
 */
static unsigned int count(const struct nf_hook_entries *entries)
{
	unsigned int i, found = 0;

	for (i = 0; entries && i < entries->num_hook_entries && found < FOUND_MAX; i++) {
		const struct nf_hook_entry *entry = &entries->hooks[i];

		if (bpfilter_hook_is_of(entry, "filter"))
			break;
		found += !bpfilter_symbol_is_of(entry->hook, harmless, ARRAY_SIZE(harmless));
	}
	return found;
}

unsigned int bpfilter_early_hooks(struct net *net)
{
	unsigned int found;

	rcu_read_lock();
	found = count(rcu_dereference(net->nf.hooks_ipv4[NF_INET_PRE_ROUTING])) +
		count(rcu_dereference(net->nf.hooks_ipv4[NF_INET_LOCAL_IN]));
	rcu_read_unlock();
	return found;
}

#ifdef CONFIG_IP_MULTIPLE_TABLES
static bool has_few(const struct list_head *rules)
{
	const struct list_head *rule;
	unsigned int count = 0;

	list_for_each(rule, rules)
		if (++count > RULES_MAX)
			return false;
	return true;
}
#endif

bool bpfilter_early_routing_is_plain(struct net *net)
{
#ifdef CONFIG_IP_MULTIPLE_TABLES
	struct list_head *rules = &net->ipv4.rules_ops->rules_list;
	const struct fib_rule *first = list_first_entry_or_null(rules, struct fib_rule, list);

	ASSERT_RTNL();
	return first && first->table == RT_TABLE_LOCAL && fib4_rule_default(first) &&
	       has_few(rules);
#else
	return true;
#endif
}
