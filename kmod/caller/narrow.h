/* SPDX-License-Identifier: GPL-2.0 */
/*
 * 32-bit callers, on a kernel whose ip_tables knows them. What they give is made native before
 * anybody else looks at it, and what they get is made of a native listing: as ip_tables does both,
 * with what the kernel's own matches and targets say of their two sizes, whoever runs them. On
 * other kernels they are callers like all others, to ip_tables as well.
 */
#ifndef KMOD_CALLER_NARROW_H
#define KMOD_CALLER_NARROW_H

#include <linux/compat.h>
#include <linux/types.h>

struct bpfilter_request;
struct ipt_getinfo;
struct net;

static inline bool bpfilter_is_narrow(void)
{
#ifdef CONFIG_NETFILTER_XTABLES_COMPAT
	return in_compat_syscall();
#else
	return false;
#endif
}

/* Of a REPLACE: its body. Loads modules, in the name of the caller. */
int bpfilter_widen(struct bpfilter_request *request);

/* A listing: native entries, which may be changed, and what is known of them. */
struct bpfilter_listing;

/* Native `info` of this table becomes what the caller is told. ERR_PTR(). */
struct bpfilter_listing *bpfilter_narrow(void *entries, u32 size, u8 family,
					 struct ipt_getinfo *info);
/* As much as info->size, to the caller. */
int bpfilter_narrow_copy(struct bpfilter_listing *listing, void __user *to);
void bpfilter_narrow_end(struct bpfilter_listing *listing);

/* The two questions of such a caller, `size` being what he thinks it is. */
int bpfilter_narrow_get_info(struct net *net, u8 family, const char *table,
			     struct ipt_getinfo *info);
int bpfilter_narrow_get_entries(struct net *net, u8 family, const char *table, u32 size,
				void __user *to);

#endif /* KMOD_CALLER_NARROW_H */
