/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels for the tap, as base/compat.h has it for all. */
#ifndef KMOD_STAP_COMPAT_H
#define KMOD_STAP_COMPAT_H

#include <linux/skbuff.h>
#include <linux/version.h>
#include <net/tcp.h>

union bpf_attr;

/* Declared nowhere; see kernel/bpf/preload. */
int kern_sys_bpf(int cmd, union bpf_attr *attr, unsigned int size);

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

/* The next window is to be 0, since there was no room for what came. Since 6.6. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define ICSK_ACK_NOMEM 0
#endif

/* SO_PEEK_OFF for TCP, which is set without the socket's lock. Since 6.9. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define STAP_TCP_HAS_PEEK_OFF
#endif

/* What sendfile() and splice() come by. Until 6.5; then it is sendmsg() with MSG_SPLICE_PAGES. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define STAP_HAS_SENDPAGE
#endif

/* What a protocol's accept() is given. Until 6.9; then it is struct proto_accept_arg. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define STAP_ACCEPT_HAS_FLAGS
#endif

#endif /* KMOD_STAP_COMPAT_H */
