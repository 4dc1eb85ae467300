// SPDX-License-Identifier: GPL-2.0
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/tcp.h>

#include "stap/compat.h"
#include "stap/end.h"
#include "stap/room.h"
#include "stap/stap.h"

#define RECEIVING (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2)

/* Memory for so many bytes. */
static u32 space_for(const struct sock *sk, u64 bytes)
{
	return min_t(u64, bytes * tcp_space_from_win(sk, 1024) / 1024, INT_MAX / 2);
}

/* A sender may not split what is larger than the window. */
static u32 two_segments(const struct stap *tap)
{
	return 2 * inet_csk(tap->sk)->icsk_ack.rcv_mss;
}

/* Bytes of the message, as far as that is known. */
static u32 whole(const struct stap *tap)
{
	return READ_ONCE(tap->recv.need) ?: 2 * READ_ONCE(tap->incomplete);
}

/* Bytes there should be room for. */
static u32 lacking(const struct stap *tap)
{
	const u32 there = READ_ONCE(tap->incomplete), need = whole(tap);

	return two_segments(tap) + (need > there ? need - there : 0);
}

/* Nobody would send anything. */
static bool is_closed(const struct stap *tap)
{
	return tcp_receive_window(tcp_sk(tap->sk)) < inet_csk(tap->sk)->icsk_ack.rcv_mss;
}

bool stap_room_is_short(const struct stap *tap)
{
	return is_closed(tap) || tcp_space(tap->sk) < (s64)lacking(tap);
}

/*
 * TCP keeps an skb until its last byte has been read, and many small ones as they are. Only if it
 * is worth to copy what they have: afterwards it takes hardly more memory than it has bytes, and
 * as much as that must come before it is copied again.
 */
static bool is_bloated(const struct stap *tap)
{
	const u64 there = tap->incomplete;
	const struct sk_buff *skb;
	u64 held = 0;

	skb_queue_walk(&tap->sk->sk_receive_queue, skb) {
		if (!skb_frags_readable(skb))
			return false;
		held += skb->truesize;
	}
	return held > 2 * (there + PAGE_SIZE);
}

static void keep_time(struct sk_buff *skb, const struct sk_buff *from)
{
	if (!TCP_SKB_CB(from)->has_rxtstamp)
		return;
	TCP_SKB_CB(skb)->has_rxtstamp = true;
	skb->tstamp = from->tstamp;
	skb_hwtstamps(skb)->hwtstamp = skb_shinfo((struct sk_buff *)from)->hwtstamps.hwtstamp;
}

/* Moves up to `size` bytes, from what is first of those from `old` on; what is first then. */
static struct sk_buff *fill(struct sk_buff_head *queue, struct sk_buff *skb, struct sk_buff *old,
			    u32 size)
{
	while (size && old) {
		const u32 offset = TCP_SKB_CB(skb)->end_seq - TCP_SKB_CB(old)->seq;
		const u32 some = min(size, old->len - offset);
		struct sk_buff *next;

		if (skb_copy_bits(old, offset, skb_put(skb, some), some))
			return ERR_PTR(-EFAULT);
		keep_time(skb, old);
		TCP_SKB_CB(skb)->end_seq += some;
		size -= some;
		if (offset + some < old->len)
			return old;
		next = skb_queue_is_last(queue, old) ? NULL : skb_queue_next(queue, old);
		__skb_unlink(old, queue);
		__kfree_skb(old);
		old = next;
	}
	return old;
}

/*
 * What there is of the message, in new skbs without what was read before it. TCP does the same
 * (tcp_collapse()) when there is no room for what comes, which nobody sends if there is none.
 */
static void pack(struct stap *tap)
{
	struct sk_buff_head *queue = &tap->sk->sk_receive_queue;
	const u32 end = tap->limit + tap->incomplete;
	struct sk_buff *old = skb_peek(queue);
	u32 begin = tap->limit;

	while (old && before(begin, end)) {
		const u32 size = min_t(u32, SKB_MAX_ORDER(0, 0), end - begin);
		struct sk_buff *skb = alloc_skb(size, GFP_ATOMIC | __GFP_NOWARN);

		if (!skb)
			return;
		memcpy(skb->cb, old->cb, sizeof(skb->cb));
		TCP_SKB_CB(skb)->seq = begin;
		TCP_SKB_CB(skb)->end_seq = begin;
		__skb_queue_before(queue, old, skb);
		skb_set_owner_r(skb, tap->sk);
		old = fill(queue, skb, old, size);
		if (IS_ERR(old)) {
			stap_fail(tap, EFAULT);
			return;
		}
		begin = TCP_SKB_CB(skb)->end_seq;
	}
}

static void grow(struct sock *sk, u32 space)
{
	struct tcp_sock *tp = tcp_sk(sk);

	WRITE_ONCE(sk->sk_rcvbuf, space);
	WRITE_ONCE(tp->window_clamp, max_t(u32, tp->window_clamp, tcp_win_from_space(sk, space)));
	tp->rcv_ssthresh = max(tp->rcv_ssthresh, tp->window_clamp);
}

/*
 * The buffer grows with the message: by what that still lacks, and by enough that TCP finds it
 * worth to tell the other side. How much memory some bytes take is up to who sent them: beyond
 * a limit they are packed.
 */
void stap_room_make(struct stap *tap)
{
	const u32 most = space_for(tap->sk, 2 * ((u64)whole(tap) + two_segments(tap))) +
			 2 * PAGE_SIZE;
	const u32 more = space_for(tap->sk, lacking(tap));
	struct sock *sk = tap->sk;
	bool changed = false;
	u32 space;

	if (tcp_sk(sk)->copied_seq != tap->limit || !((1 << sk->sk_state) & RECEIVING) ||
	    !stap_room_is_short(tap))
		return;
	space = atomic_read(&sk->sk_rmem_alloc) + more;
	if (space > most && is_bloated(tap)) {
		pack(tap);
		space = atomic_read(&sk->sk_rmem_alloc) + more;
		changed = true;
	}
	space = min(space, most);
	if (space > sk->sk_rcvbuf) {
		grow(sk, space);
		changed = true;
	}
	if (!changed && !is_closed(tap))
		return;
	/* There was none a moment ago, so the next window would be 0. */
	inet_csk(sk)->icsk_ack.pending &= ~ICSK_ACK_NOMEM;
	__tcp_send_ack(sk, tcp_sk(sk)->rcv_nxt);
}
