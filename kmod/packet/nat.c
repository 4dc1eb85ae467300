// SPDX-License-Identifier: GPL-2.0
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <net/netfilter/nf_nat.h>

#include "packet/nat.h"

/*
 * Its functions are looked up by name: were they linked, loading us would load nf_nat and
 * conntrack on every machine. A symbol that was got holds the module.
 */
int bpfilter_nat_get(u8 family)
{
	bool there;

	if (family == NFPROTO_IPV4)
		there = symbol_request(nf_nat_ipv4_register_fn);
	else
		there = symbol_request(nf_nat_ipv6_register_fn);
	return there ? 0 : -ENOENT;
}

void bpfilter_nat_put(u8 family)
{
	if (family == NFPROTO_IPV4)
		symbol_put(nf_nat_ipv4_register_fn);
	else
		symbol_put(nf_nat_ipv6_register_fn);
}

int bpfilter_nat_register(struct net *net, const struct nf_hook_ops *hook)
{
	int (*enter)(struct net *net, const struct nf_hook_ops *hook);
	int error;

	if (hook->pf == NFPROTO_IPV4)
		enter = symbol_get(nf_nat_ipv4_register_fn);
	else
		enter = symbol_get(nf_nat_ipv6_register_fn);
	if (WARN_ON_ONCE(!enter))
		return -ENOENT;
	error = enter(net, hook);
	bpfilter_nat_put(hook->pf);
	return error;
}

void bpfilter_nat_unregister(struct net *net, const struct nf_hook_ops *hook)
{
	void (*leave)(struct net *net, const struct nf_hook_ops *hook);

	if (hook->pf == NFPROTO_IPV4)
		leave = symbol_get(nf_nat_ipv4_unregister_fn);
	else
		leave = symbol_get(nf_nat_ipv6_unregister_fn);
	if (WARN_ON_ONCE(!leave))
		return;
	leave(net, hook);
	if (hook->pf == NFPROTO_IPV4)
		symbol_put(nf_nat_ipv4_unregister_fn);
	else
		symbol_put(nf_nat_ipv6_unregister_fn);
}
