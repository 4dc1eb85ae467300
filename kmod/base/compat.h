/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels we build against, 6.1 and later. The rest of the modules is
 * written for the newest: it uses the names defined here, and asks no version. The tap's are in
 * stap/compat.h.
 */
#ifndef KMOD_BASE_COMPAT_H
#define KMOD_BASE_COMPAT_H

#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/version.h>

/* The matches icmp and icmp6 are part of ip_tables and ip6_tables; since 6.4 of xt_tcpudp. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define BPFILTER_IP_TABLES_OWNS_ICMP
#endif

/* The namespace of bpf_map_get(); an import of one that does not exist is harmless. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define BPFILTER_IMPORT_BPF_INTERNAL MODULE_IMPORT_NS(BPF_INTERNAL)
#else
#define BPFILTER_IMPORT_BPF_INTERNAL MODULE_IMPORT_NS("BPF_INTERNAL")
#endif

/* Whether tc looks at what comes in on the device. Another field since 6.6. */
static inline bool bpfilter_has_tc_ingress(const struct net_device *device)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#ifdef CONFIG_NET_CLS_ACT
	return rcu_access_pointer(device->miniq_ingress);
#else
	return false;
#endif
#elif defined(CONFIG_NET_XGRESS)
	return rcu_access_pointer(device->tcx_ingress);
#else
	return false;
#endif
}

#endif /* KMOD_BASE_COMPAT_H */
