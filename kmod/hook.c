// SPDX-License-Identifier: GPL-2.0
#include <linux/bottom_half.h>
#include <linux/filter.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>

#include <bpfilter/context.h>

#include "compat.h"
#include "hook.h"
#include "table.h"
#include "version.h"

static void write_name(char *to, const struct net_device *device)
{
	BUILD_BUG_ON(BPFILTER_IFNAME_LEN != IFNAMSIZ);
	if (device)
		memcpy(to, device->name, BPFILTER_IFNAME_LEN);
	else
		memset(to, 0, BPFILTER_IFNAME_LEN);
}

static unsigned int run(const struct bpfilter_version *version, struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	struct bpf_net_context net_context, *entered;
	unsigned int verdict;

	if (version->context) {
		struct bpfilter_context *context = this_cpu_ptr(version->context);

		write_name(context->in, state->in);
		write_name(context->out, state->out);
	}
	entered = bpf_net_ctx_set(&net_context);
	verdict = bpf_prog_run_pin_on_cpu(version->program[state->hook], skb);
	bpf_net_ctx_clear(entered);
	return verdict;
}

unsigned int bpfilter_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct bpfilter_table *table = priv;
	unsigned int verdict;

	/* netfilter is inside RCU. The context is this CPU's until bottom halves are on. */
	local_bh_disable();
	verdict = run(rcu_dereference(table->version), skb, state);
	local_bh_enable();

	switch (verdict) {
	case BPFILTER_ACCEPT:
		return NF_ACCEPT;
	case BPFILTER_QUEUE:
		return NF_QUEUE_NR(0);
	default:
		return NF_DROP;
	}
}
