// SPDX-License-Identifier: GPL-2.0
/*
 * Debian's iptables is iptables-nft unless somebody chose otherwise: it talks to nf_tables,
 * and who loads bpfilter beside it would wait for something to happen. What can be seen of
 * it from here are the hooks of the chains that it makes, in tables that are named as its own;
 * but for those of nat, which hook into the nat core.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/netfilter.h>
#include <linux/string.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_tables.h>

#include "base/symbol.h"
#include "caller/nft.h"

/* By the hook. Who writes tables for nft has no reason to shout. */
static const char *const chains[] = {
	[NF_INET_PRE_ROUTING] = "PREROUTING",
	[NF_INET_LOCAL_IN] = "INPUT",
	[NF_INET_FORWARD] = "FORWARD",
	[NF_INET_LOCAL_OUT] = "OUTPUT",
	[NF_INET_POST_ROUTING] = "POSTROUTING",
};

static const char *const tables[] = { "filter", "nat", "mangle", "raw", "security" };

/* What runs the chains of these families; of type route, too. */
static const struct bpfilter_symbol runs_chain[] = {
	{ "nft_do_chain_ipv4", "[nf_tables]" },
	{ "nft_do_chain_ipv6", "[nf_tables]" },
	{ "nf_route_table_hook4", "[nf_tables]" },
	{ "nf_route_table_hook6", "[nf_tables]" },
};

static bool is_of_iptables(const struct nf_hook_entry *entry, unsigned int hook, u8 family)
{
	const struct nft_chain *chain = entry->priv;

	return bpfilter_symbol_is_of(entry->hook, runs_chain, ARRAY_SIZE(runs_chain)) &&
	       chain->table->family == family &&
	       match_string(tables, ARRAY_SIZE(tables), chain->table->name) >= 0 &&
	       !strcmp(chain->name, chains[hook]);
}

/* A chain that has a hook outlives the RCU sections that find it; its nf_hook_ops need not. */
static bool has_chain_of_iptables(const struct nf_hook_entries *entries, unsigned int hook,
				  u8 family)
{
	unsigned int i;

	for (i = 0; entries && i < entries->num_hook_entries; i++)
		if (is_of_iptables(&entries->hooks[i], hook, family))
			return true;
	return false;
}

static void look(struct nf_hook_entries __rcu *const *hooks, u8 family, const char *prefix)
{
	bool found = false;
	unsigned int hook;

	rcu_read_lock();
	for (hook = 0; hook < ARRAY_SIZE(chains) && !found; hook++)
		found = has_chain_of_iptables(rcu_dereference(hooks[hook]), hook, family);
	rcu_read_unlock();
	if (found)
		pr_notice("%stables has made tables of nf_tables, whose rules stay there: it is %stables-nft; bpfilter serves %stables-legacy (update-alternatives --set %stables /usr/sbin/%stables-legacy)\n",
			  prefix, prefix, prefix, prefix, prefix);
}

void bpfilter_nft_look(void)
{
	look(init_net.nf.hooks_ipv4, NFPROTO_IPV4, "ip");
	look(init_net.nf.hooks_ipv6, NFPROTO_IPV6, "ip6");
}
