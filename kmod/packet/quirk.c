// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter_ipv6/ip6t_ah.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>
#include <linux/skbuff.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include <bpfilter/context.h>
#include <bpfilter/pipe.h>

#include "packet/quirk.h"

#define LONG_HEADER_SIZE 16

u32 bpfilter_quirks __ro_after_init;
u32 bpfilter_lax __ro_after_init;

/* A packet with one extension header, of which there are 16 bytes, and said to be over 1000. */
static struct sk_buff *long_header(u8 kind)
{
	const u8 header[LONG_HEADER_SIZE] = { IPPROTO_TCP, 255 };
	struct ipv6hdr *ip;
	struct sk_buff *skb;

	skb = alloc_skb(sizeof(*ip) + sizeof(header), GFP_KERNEL);
	if (!skb)
		return NULL;
	skb_reset_network_header(skb);
	ip = skb_put_zero(skb, sizeof(*ip));
	ip->version = 6;
	ip->payload_len = htons(sizeof(header));
	ip->nexthdr = kind;
	skb_put_data(skb, header, sizeof(header));
	return skb;
}

static bool is_stepped_over(const struct sk_buff *skb)
{
	unsigned int offset = 0;

	return ipv6_find_hdr(skb, &offset, -1, NULL, NULL) == IPPROTO_TCP;
}

/*
 * What the kernel's own match says about the packet: 1 it matches, 0 it does not, else it is to
 * be dropped. Where there is no such match, nobody can have seen it do otherwise than drop.
 */
static int ask(const char *name, const void *info, const struct sk_buff *skb)
{
	struct xt_action_param param = { .matchinfo = info };
	struct xt_match *match;
	int answer;

	match = xt_request_find_match(NFPROTO_IPV6, name, 0);
	if (IS_ERR(match))
		return -ENOENT;
	param.match = match;
	answer = match->match(skb, &param);
	module_put(match->me);
	return param.hotdrop ? -EBADMSG : answer;
}

/*
 * Would a rule be taken that asks this? Where there is no such match, none was ever taken. One that
 * is refused is a line in the kernel log, of the match's. Nothing asked here is given back: the
 * match only looks at what it is given.
 */
static bool __init is_taken(const char *name, void *info, unsigned int size)
{
	static const struct ip6t_ip6 any __initconst;
	struct xt_mtchk_param param = {
		.net = &init_net,
		.table = "filter",
		.entryinfo = &any,
		.matchinfo = info,
		.hook_mask = 1 << NF_INET_LOCAL_IN,
		.family = NFPROTO_IPV6,
	};
	struct xt_match *match;
	int error;

	match = xt_request_find_match(NFPROTO_IPV6, name, 0);
	if (IS_ERR(match))
		return false;
	param.match = match;
	error = xt_check_match(&param, XT_ALIGN(size), 0, false);
	module_put(match->me);
	return !error;
}

/*
 * ip6_tables cannot be asked, being what we stand for. That it sets IP6T_F_PROTO itself came with
 * the same stable update as that rt refuses an empty list.
 */
static void __init ask_for_rules(void)
{
	static struct ip6t_rt no_addresses __initdata = {
		.flags = IP6T_RT_TYP | IP6T_RT_FST,
		.segsleft = { 0, U32_MAX },
	};

	if (is_taken("rt", &no_addresses, sizeof(no_addresses)))
		bpfilter_lax |= BPFILTER_LAX_PROTOCOL;
}

int __init bpfilter_quirk_init(void)
{
	static const struct ip6t_opts any_options;
	static const struct ip6t_ah any_authentication = { .spis = { 0, U32_MAX } };
	struct sk_buff *authentication, *options;
	int error = -ENOMEM;

	options = long_header(IPPROTO_HOPOPTS);
	if (!options)
		return error;
	authentication = long_header(IPPROTO_AH);
	if (!authentication)
		goto err_authentication;
	if (is_stepped_over(options))
		bpfilter_quirks |= BPFILTER_QUIRK_WALK;
	if (ask("hbh", &any_options, options) == 0)
		bpfilter_quirks |= BPFILTER_QUIRK_OPTIONS;
	if (ask("ah", &any_authentication, authentication) == 1)
		bpfilter_quirks |= BPFILTER_QUIRK_AUTHENTICATION;
	ask_for_rules();
	kfree_skb(authentication);
	error = 0;

err_authentication:
	kfree_skb(options);
	return error;
}
