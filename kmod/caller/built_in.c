// SPDX-License-Identifier: GPL-2.0
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/skbuff.h>

#include "base/compat.h"
#include "caller/built_in.h"

/*
 * ip_tables registers the targets of its own, standard and ERROR, so that they are found
 * and listed like any other; in its place, so do we. Their rules run in the helper's
 * programs: whoever runs these ones has found a way to them that iptables does not know.
 */
static unsigned int drop(struct sk_buff *skb, const struct xt_action_param *par)
{
	return NF_DROP;
}

static struct xt_target built_in_targets[] __read_mostly = {
	{
		.name = XT_STANDARD_TARGET,
		.family = NFPROTO_IPV4,
		.target = drop,
		.targetsize = sizeof(int),
		.me = THIS_MODULE,
	},
	{
		.name = XT_ERROR_TARGET,
		.family = NFPROTO_IPV4,
		.target = drop,
		.targetsize = XT_FUNCTION_MAXNAMELEN,
		.me = THIS_MODULE,
	},
	{
		.name = XT_STANDARD_TARGET,
		.family = NFPROTO_IPV6,
		.target = drop,
		.targetsize = sizeof(int),
		.me = THIS_MODULE,
	},
	{
		.name = XT_ERROR_TARGET,
		.family = NFPROTO_IPV6,
		.target = drop,
		.targetsize = XT_FUNCTION_MAXNAMELEN,
		.me = THIS_MODULE,
	},
};

#ifdef BPFILTER_IP_TABLES_OWNS_ICMP
/*
 * The matches icmp and icmp6 go with ip_tables on this kernel. iptables-nft uses them
 * through x_tables, and works beside us, so they must be there, and really match.
 */
static_assert(sizeof(struct ipt_icmp) == sizeof(struct ip6t_icmp));
static_assert(IPT_ICMP_INV == IP6T_ICMP_INV);

static bool icmp_match(const struct sk_buff *skb, struct xt_action_param *par)
{
	const struct ipt_icmp *info = par->matchinfo;
	const struct icmphdr *icmp;
	struct icmphdr buffer;
	bool match;

	if (par->fragoff)
		return false;
	icmp = skb_header_pointer(skb, par->thoff, sizeof(buffer), &buffer);
	if (!icmp) {
		par->hotdrop = true;
		return false;
	}
	/* 255 is any type to iptables; ip6tables has no such thing. */
	match = (info->type == 0xff && xt_family(par) == NFPROTO_IPV4) ||
		(icmp->type == info->type && icmp->code >= info->code[0] &&
		 icmp->code <= info->code[1]);
	return match != !!(info->invflags & IPT_ICMP_INV);
}

static int icmp_check(const struct xt_mtchk_param *par)
{
	const struct ipt_icmp *info = par->matchinfo;

	return info->invflags & ~IPT_ICMP_INV ? -EINVAL : 0;
}

static struct xt_match built_in_matches[] __read_mostly = {
	{
		.name = "icmp",
		.family = NFPROTO_IPV4,
		.match = icmp_match,
		.checkentry = icmp_check,
		.matchsize = sizeof(struct ipt_icmp),
		.proto = IPPROTO_ICMP,
		.me = THIS_MODULE,
	},
	{
		.name = "icmp6",
		.family = NFPROTO_IPV6,
		.match = icmp_match,
		.checkentry = icmp_check,
		.matchsize = sizeof(struct ip6t_icmp),
		.proto = IPPROTO_ICMPV6,
		.me = THIS_MODULE,
	},
};

static int register_matches(void)
{
	return xt_register_matches(built_in_matches, ARRAY_SIZE(built_in_matches));
}

static void unregister_matches(void)
{
	xt_unregister_matches(built_in_matches, ARRAY_SIZE(built_in_matches));
}
#else
static int register_matches(void)
{
	return 0;
}

static void unregister_matches(void)
{
}
#endif

int bpfilter_built_in_init(void)
{
	int error;

	error = xt_register_targets(built_in_targets, ARRAY_SIZE(built_in_targets));
	if (error)
		return error;
	error = register_matches();
	if (error)
		xt_unregister_targets(built_in_targets, ARRAY_SIZE(built_in_targets));
	return error;
}

void bpfilter_built_in_exit(void)
{
	unregister_matches();
	xt_unregister_targets(built_in_targets, ARRAY_SIZE(built_in_targets));
}
