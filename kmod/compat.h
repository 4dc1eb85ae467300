/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels we build against, 6.1 and later. The rest of the
 * module is written for the newest: it uses the names defined here, and asks no version.
 */
#ifndef KMOD_COMPAT_H
#define KMOD_COMPAT_H

#include <linux/filter.h>
#include <linux/module.h>
#include <linux/version.h>
#include <net/tcp.h>

/* bpf_net_context: where programs keep what was per CPU before. Since 6.11. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
struct bpf_net_context {
};

static inline struct bpf_net_context *bpf_net_ctx_set(struct bpf_net_context *context)
{
	return NULL;
}

static inline void bpf_net_ctx_clear(struct bpf_net_context *context)
{
}
#endif

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

/* Packets whose bytes only a device can read. Since 6.12. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
static inline bool skb_frags_readable(const struct sk_buff *skb)
{
	return true;
}
#endif

/* The buffer for a window, the inverse of tcp_win_from_space(). Since 6.6. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
static inline int tcp_space_from_win(const struct sock *sk, int window)
{
	int space = window;

	while (tcp_win_from_space(sk, space) < window && space < INT_MAX / 2)
		space *= 2;
	return space;
}
#endif

/*
 * Pages to TCP, by reference or copied: how many bytes it took, or an errno. With the socket
 * locked. MSG_SPLICE_PAGES is since 6.5, where sendpage is no more.
 */
static inline int stap_send_copied(struct sock *sk, const struct bio_vec *piece, u32 count,
				   u32 size, int flags, const struct msghdr *control)
{
	struct msghdr message = {
		.msg_flags = flags,
		.msg_control = control->msg_control,
		.msg_controllen = control->msg_controllen,
	};

	iov_iter_bvec(&message.msg_iter, ITER_SOURCE, piece, count, size);
	return tcp_sendmsg_locked(sk, &message, size);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define STAP_HAS_SENDPAGE
static inline int stap_send_pages(struct sock *sk, const struct bio_vec *piece, u32 count,
				  u32 size, int flags, const struct msghdr *control)
{
	u32 sent = 0;

	if (control->msg_controllen)
		return stap_send_copied(sk, piece, count, size, flags, control);
	for (; sent < size; piece++) {
		const u32 some = min(size - sent, piece->bv_len);
		const int more = sent + some < size ? MSG_SENDPAGE_NOTLAST | MSG_MORE : 0;
		int result = tcp_sendpage_locked(sk, piece->bv_page, piece->bv_offset, some,
						 flags | more);

		if (result < 0)
			return sent ?: result;
		sent += result;
		if (result < some)
			break;
	}
	return sent;
}
#else
static inline int stap_send_pages(struct sock *sk, const struct bio_vec *piece, u32 count,
				  u32 size, int flags, const struct msghdr *control)
{
	return stap_send_copied(sk, piece, count, size, flags | MSG_SPLICE_PAGES, control);
}
#endif

#endif /* KMOD_COMPAT_H */
