// SPDX-License-Identifier: GPL-2.0
#include <linux/audit.h>
#include <linux/compat.h>
#include <linux/mm.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/sockptr.h>

#include "caller/caller.h"
#include "caller/narrow.h"
#include "request/outcome.h"
#include "request/queue.h"
#include "request/request.h"

static_assert(sizeof(struct ipt_replace) == sizeof(struct ip6t_replace));
static_assert(sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries));
static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo));

static const struct bpfilter_layout native_layout = {
	.replace = sizeof(struct ipt_replace),
	.get_entries = sizeof(struct ipt_get_entries),
	.counters_info = sizeof(struct xt_counters_info),
};

#ifdef CONFIG_NETFILTER_XTABLES_COMPAT
/*
 * A structure that ends in counters or in entries (which have counters) begins them where
 * the 32-bit ABI aligns a u64: to 4 bytes on x86, to 8 elsewhere.
 */
#define COMPAT_SIZE(end) ALIGN(end, __alignof__(compat_u64))

static const struct bpfilter_layout compat_layout = {
	.replace = COMPAT_SIZE(offsetof(struct ipt_replace, counters) + sizeof(compat_uptr_t)),
	.get_entries = COMPAT_SIZE(offsetofend(struct ipt_get_entries, size)),
	.counters_info = COMPAT_SIZE(offsetofend(struct xt_counters_info, num_counters)),
};
#endif

const struct bpfilter_layout *bpfilter_caller_layout(void)
{
#ifdef CONFIG_NETFILTER_XTABLES_COMPAT
	if (bpfilter_is_narrow())
		return &compat_layout;
#endif
	return &native_layout;
}

void __user *bpfilter_caller_counters(const struct ipt_replace *replace)
{
#ifdef CONFIG_NETFILTER_XTABLES_COMPAT
	if (bpfilter_is_narrow())
		return compat_ptr(*(const compat_uptr_t *)&replace->counters);
#endif
	return replace->counters;
}

int bpfilter_caller_copy(struct bpfilter_request *request, sockptr_t from, u32 from_length,
			 u32 length, const void *head, u32 head_length)
{
	const u32 rest = length - from_length;

	request->body = kvmalloc(head_length + rest, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!request->body)
		return -ENOMEM;
	request->body_length = head_length + rest;
	memcpy(request->body, head, head_length);
	if (copy_from_sockptr_offset(request->body + head_length, from, from_length, rest))
		return -EFAULT;
	return 0;
}

int bpfilter_caller_perform(struct bpfilter_request *request, const char *table, u32 old_entries)
{
	const bool replace = request->header.opcode == BPFILTER_OP_REPLACE;
	const u8 family = request->header.family;
	const int error = bpfilter_queue_perform(request);

	if (!bpfilter_queue_is_committed(request))
		return error;
	/* Who is killed has no time to learn what was there before. */
	if (!replace || (error != -EINTR && !request->retired))
		audit_log_nfcfg(table, family, 0, AUDIT_XT_OP_REGISTER, GFP_KERNEL);
	if (replace)
		audit_log_nfcfg(table, family, old_entries, AUDIT_XT_OP_REPLACE, GFP_KERNEL);
	return error;
}
