// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>
#include <linux/kmod.h>
#include <linux/module.h>

#include "caller/call.h"
#include "stap/ask.h"

/*
 * By name: a tap whose programs come from its user has no need of bpfilter.ko. To load that
 * is a matter for the machine's administrator, as it takes the place of ip_tables.
 */
static bpfilter_call_fn *find(void)
{
	bpfilter_call_fn *found = symbol_get(bpfilter_call);

	if (found || !capable(CAP_NET_ADMIN))
		return found;
	request_module("bpfilter");
	return symbol_get(bpfilter_call);
}

int stap_ask(const struct bpfilter_call *call, void **gift)
{
	bpfilter_call_fn *ask = find();
	int error;

	if (!ask)
		return -ENOENT;
	error = ask(call, gift);
	symbol_put(bpfilter_call);
	return error;
}
