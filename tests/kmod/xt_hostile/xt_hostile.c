// SPDX-License-Identifier: GPL-2.0
/*
 * A match and a target, both called `hostile`, that do what their payload says, and what no good
 * one does: odd sizes, a check that fails the nth time or rewrites what it checks, packets that are
 * stolen, moved, made longer or shorter, others sent from within. It counts what becomes of it.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/sch_generic.h>

enum hostile_act {
	ACT_PLAIN, /* match: it does; target: `verdict` */
	ACT_OTHER, /* match: it does not */
	ACT_HOTDROP,
	ACT_STEAL,
	ACT_MOVE, /* what follows goes on */
	ACT_LONGER,
	ACT_SHORTER,
	ACT_SEND, /* a copy of the packet, from within */
	ACT_LEAVE_WORD, /* in skb->cb, for the next one */
	ACT_FIND_WORD,
	ACT_HOTDROP_TOO, /* and matches */
};

struct hostile_private {
	struct hostile_info *info; /* nobody moves it */
};

struct hostile_info {
	u32 error; /* of the check */
	u32 act;
	u32 verdict;
	u32 seen; /* the check writes the hooks there */
	u8 odd; /* the last that is shown */
	u8 hidden[7];
	struct hostile_private *private;
	u8 tail[3];
};

#define INFO_SIZE offsetofend(struct hostile_info, tail)
#define INFO_SHOWN offsetofend(struct hostile_info, odd)
#define WORD 0x5ca1ab1e

static int fail_nth; /* that check fails; 0: none */
module_param(fail_nth, int, 0644);
static bool hold; /* what is destroyed meanwhile waits */
module_param(hold, bool, 0644);
static atomic_t checks, live, calls, sent, wrong;
module_param_named(checks, checks.counter, int, 0644);
module_param_named(live, live.counter, int, 0444); /* checked, and not destroyed */
module_param_named(calls, calls.counter, int, 0644);
module_param_named(sent, sent.counter, int, 0644);
module_param_named(wrong, wrong.counter, int, 0444); /* what must not be */

static int check(const void *bytes, unsigned int hooks)
{
	struct hostile_info *info = (struct hostile_info *)bytes;

	if (atomic_inc_return(&checks) == fail_nth)
		return -EBADE;
	if (info->error)
		return -(int)info->error;
	if (!IS_ALIGNED((unsigned long)info, 8))
		atomic_inc(&wrong);
	info->private = kzalloc(sizeof(*info->private), GFP_KERNEL);
	if (!info->private)
		return -ENOMEM;
	info->private->info = info;
	info->seen = hooks;
	memset(info->hidden, 0xee, sizeof(info->hidden));
	atomic_inc(&live);
	return 0;
}

static void destroy(const void *bytes)
{
	const struct hostile_info *info = bytes;

	while (READ_ONCE(hold))
		msleep(20);
	if (info->private->info != info)
		atomic_inc(&wrong);
	kfree(info->private);
	atomic_dec(&live);
}

/* Four bytes of the payload more or less. */
static void resize(struct sk_buff *skb, int by)
{
	struct iphdr *ip;
	struct udphdr *udp;

	if (pskb_expand_head(skb, 32, 64, GFP_ATOMIC) || skb_linearize(skb))
		return;
	if (by > 0)
		memset(skb_put(skb, by), 'x', by);
	else
		skb_trim(skb, skb->len + by);
	ip = ip_hdr(skb);
	udp = (struct udphdr *)((u8 *)ip + ip->ihl * 4);
	ip->tot_len = htons(skb->len);
	ip_send_check(ip);
	udp->len = htons(skb->len - ip->ihl * 4);
	udp->check = 0;
	skb->ip_summed = CHECKSUM_NONE;
}

/* Through the hooks of OUTPUT, where it came from. Each copy has one more mark. */
static void send_copy(struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct sk_buff *copy = skb_copy(skb, GFP_ATOMIC);

	if (!copy)
		return;
	atomic_inc(&sent);
	copy->mark++;
	nf_reset_ct(copy);
	ip_local_out(state->net, state->sk, copy);
}

/* Whether it goes on. */
static bool act(struct sk_buff *skb, const struct hostile_info *info,
		const struct nf_hook_state *state)
{
	u32 *word = (u32 *)qdisc_skb_cb(skb)->data;

	switch (info->act) {
	case ACT_MOVE:
		if (pskb_expand_head(skb, 128, 128, GFP_ATOMIC))
			atomic_inc(&wrong);
		return true;
	case ACT_LONGER:
		resize(skb, 4);
		return true;
	case ACT_SHORTER:
		resize(skb, -4);
		return true;
	case ACT_SEND:
		send_copy(skb, state);
		return true;
	case ACT_LEAVE_WORD:
		*word = WORD;
		return true;
	case ACT_FIND_WORD:
		if (*word != WORD)
			atomic_inc(&wrong);
		*word = 0;
		return true;
	default:
		return false;
	}
}

static void enter(const struct hostile_info *info)
{
	atomic_inc(&calls);
	if (!in_softirq() || info->private->info != info)
		atomic_inc(&wrong);
}

static bool hostile_match(const struct sk_buff *skb, struct xt_action_param *param)
{
	const struct hostile_info *info = param->matchinfo;

	enter(info);
	if (info->act == ACT_HOTDROP || info->act == ACT_HOTDROP_TOO)
		param->hotdrop = true;
	if (info->act == ACT_FIND_WORD || info->act == ACT_LEAVE_WORD)
		act((struct sk_buff *)skb, info, param->state);
	return info->act != ACT_OTHER && info->act != ACT_HOTDROP;
}

static unsigned int hostile_target(struct sk_buff *skb, const struct xt_action_param *param)
{
	const struct hostile_info *info = param->targinfo;

	enter(info);
	if (info->act == ACT_STEAL) {
		kfree_skb(skb);
		return NF_STOLEN;
	}
	return act(skb, info, param->state) ? XT_CONTINUE : info->verdict;
}

static int match_check(const struct xt_mtchk_param *param)
{
	return check(param->matchinfo, param->hook_mask);
}

static void match_destroy(const struct xt_mtdtor_param *param)
{
	destroy(param->matchinfo);
}

static int target_check(const struct xt_tgchk_param *param)
{
	return check(param->targinfo, param->hook_mask);
}

static void target_destroy(const struct xt_tgdtor_param *param)
{
	destroy(param->targinfo);
}

static struct xt_match match __read_mostly = {
	.name = "hostile",
	.family = NFPROTO_UNSPEC,
	.match = hostile_match,
	.checkentry = match_check,
	.destroy = match_destroy,
	.matchsize = INFO_SIZE,
	.usersize = INFO_SHOWN,
	.me = THIS_MODULE,
};

static struct xt_target target __read_mostly = {
	.name = "hostile",
	.family = NFPROTO_UNSPEC,
	.target = hostile_target,
	.checkentry = target_check,
	.destroy = target_destroy,
	.targetsize = INFO_SIZE,
	.usersize = INFO_SHOWN,
	.me = THIS_MODULE,
};

static int __init hostile_init(void)
{
	int error = xt_register_match(&match);

	if (error)
		return error;
	error = xt_register_target(&target);
	if (error)
		xt_unregister_match(&match);
	return error;
}

static void __exit hostile_exit(void)
{
	xt_unregister_target(&target);
	xt_unregister_match(&match);
}

module_init(hostile_init);
module_exit(hostile_exit);

MODULE_DESCRIPTION("A match and a target that do as they are told, and harm");
MODULE_LICENSE("GPL");
