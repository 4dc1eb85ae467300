// SPDX-License-Identifier: GPL-2.0
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/tcp.h>

#include "../compat.h"
#include "gate.h"
#include "program.h"
#include "stap.h"
#include "view.h"

/*
 * The queue's owner may take a dropped message away between our two looks at copied_seq. Then
 * limit is that of the next message, and the first look was at something else.
 */
u32 stap_gate_readable(const struct stap *tap)
{
	const struct tcp_sock *tp = tcp_sk(tap->sk);
	u32 copied, limit;

	if (!smp_load_acquire(&tap->started)) /* before limit; pairs with start() */
		return 0;
	copied = READ_ONCE(tp->copied_seq);
	smp_rmb(); /* pairs with eat(): if this limit is the next one, so is copied_seq below */
	limit = READ_ONCE(tap->limit);
	smp_rmb(); /* the second look comes last */
	if (copied != READ_ONCE(tp->copied_seq))
		return 0;
	return before(copied, limit) ? limit - copied : 0;
}

#define RECEIVING (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2)

/* Sequence number behind the last byte there is. */
static u32 end_of_data(const struct stap *tap)
{
	const struct sk_buff *last = skb_peek_tail(&tap->sk->sk_receive_queue);

	return last ? TCP_SKB_CB(last)->seq + last->len : tap->limit;
}

/* The skb that has the byte at limit. New ones come last. */
static const struct sk_buff *skb_at_limit(const struct stap *tap)
{
	const struct sk_buff *skb;

	skb_queue_reverse_walk(&tap->sk->sk_receive_queue, skb)
		if (!after(TCP_SKB_CB(skb)->seq, tap->limit))
			return skb;
	return NULL;
}

/* Where the bytes are if they are in one piece; most short messages are. */
static const void *in_one_piece(const struct sk_buff *skb, u32 offset, u32 size)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);
	const skb_frag_t *first = &shared->frags[0];

	if (offset + size <= skb_headlen(skb))
		return skb->data + offset;
	if (skb_headlen(skb) || !shared->nr_frags || offset + size > skb_frag_size(first))
		return NULL;
	if (!skb_frags_readable(skb) || PageHighMem(skb_frag_page(first)))
		return NULL;
	return skb_frag_address(first) + offset;
}

static int copy(const struct sk_buff *skb, u32 offset, void *to, u32 size)
{
	const void *from = in_one_piece(skb, offset, size);

	if (!from)
		return skb_copy_bits(skb, offset, to, size);
	memcpy(to, from, size);
	return 0;
}

/* What a program is to see, from the gate on. */
static int fill(const struct stap_source *source, struct stap_view *view, u32 offset, u32 size)
{
	const struct stap *tap = container_of(source, struct stap, incoming);
	const bool copied = size <= STAP_VIEW_COPIED;
	u8 *to = copied ? stap_view_put(view, size) : NULL;
	const struct sk_buff *skb = skb_at_limit(tap);
	u32 sequence = tap->limit + offset;
	int error;

	while (size) {
		u32 some;

		if (!skb)
			return -EFAULT;
		offset = sequence - TCP_SKB_CB(skb)->seq;
		if (offset < skb->len) {
			some = min(size, skb->len - offset);
			error = copied ? copy(skb, offset, to, some) :
					 stap_view_add_skb(view, skb, offset, some);
			if (error)
				return error;
			to += some;
			sequence += some;
			size -= some;
		}
		skb = skb_queue_is_last(&tap->sk->sk_receive_queue, skb) ? NULL :
			skb_queue_next(&tap->sk->sk_receive_queue, skb);
	}
	return 0;
}

/*
 * Who waits for the rest of a message does not read, so TCP would at last close its window and
 * the rest never come. So the buffer grows with the message: by what that still lacks, and by
 * enough that TCP finds it worth to tell the other side. How much memory some bytes take is up to
 * who sent them; TCP makes them fit if there is a limit.
 */
static void make_room(struct stap *tap, u32 there, u32 need)
{
	/* A sender may not split what is larger than the window. */
	const u32 segments = 2 * inet_csk(tap->sk)->icsk_ack.rcv_mss;
	const u32 lacking = need - there + segments;
	struct tcp_sock *tp = tcp_sk(tap->sk);
	struct sock *sk = tap->sk;
	u32 most, space;

	if (tcp_receive_window(tp) >= lacking)
		return;
	most = tcp_space_from_win(sk, 4 * (need + segments) + tap->limit - tp->copied_seq);
	space = atomic_read(&sk->sk_rmem_alloc) + tcp_space_from_win(sk, lacking);
	space = min(space, most);
	if (space <= sk->sk_rcvbuf || !((1 << sk->sk_state) & RECEIVING))
		return;
	WRITE_ONCE(sk->sk_rcvbuf, space);
	tp->window_clamp = max_t(u32, tp->window_clamp, tcp_win_from_space(sk, space));
	tp->rcv_ssthresh = max(tp->rcv_ssthresh, tp->window_clamp);
	__tcp_send_ack(sk, tp->rcv_nxt);
}

static int take(read_descriptor_t *descriptor, struct sk_buff *skb, unsigned int offset,
		size_t size)
{
	size = min(size, descriptor->count);
	descriptor->count -= size;
	return size;
}

/* Takes the dropped message away, once it is first. */
static bool eat(struct stap *tap)
{
	read_descriptor_t descriptor = { .count = tap->drop };
	struct sock *sk = tap->sk;

	if (tcp_sk(sk)->copied_seq != tap->limit)
		return false;
	tcp_read_sock(sk, &descriptor, take);
	if (descriptor.count) { /* urgent data that nobody has read are in the way */
		stap_fail(tap, ECONNABORTED);
		return false;
	}
	WRITE_ONCE(tap->drop, 0);
	smp_wmb(); /* copied_seq before limit; pairs with stap_gate_readable() */
	WRITE_ONCE(tap->limit, tcp_sk(sk)->copied_seq);
	return true;
}

static void start(struct stap *tap)
{
	WRITE_ONCE(tap->limit, tcp_sk(tap->sk)->copied_seq);
	smp_store_release(&tap->started, true); /* pairs with stap_gate_readable() */
}

/* A message that is not all there: can the rest come? */
static void await(struct stap *tap, u32 there, u32 need)
{
	if (sock_flag(tap->sk, SOCK_DONE))
		stap_fail(tap, ECONNABORTED);
	else if (need || there < stap_max_message)
		make_room(tap, there, need ?: 2 * there);
	else
		stap_fail(tap, EMSGSIZE);
}

/* The message at the gate; whether there may be another. */
static bool next(struct stap *tap, bool *readable)
{
	const s32 there = end_of_data(tap) - tap->limit;
	struct stap_finding found;

	if (there <= 0)
		return false;
	found = stap_examine(&tap->incoming, 0, there);
	if (found.length < 0) {
		stap_fail(tap, -found.length);
		return false;
	}
	if (!found.length || found.length > there) {
		await(tap, there, found.length);
		return false;
	}
	switch (found.verdict) {
	case STAP_OK:
		WRITE_ONCE(tap->limit, tap->limit + found.length);
		*readable = true;
		return found.length < there;
	case STAP_DROP:
		WRITE_ONCE(tap->drop, found.length);
		return true;
	default:
		stap_fail(tap, ECONNABORTED);
		return false;
	}
}

void stap_gate_init(struct stap *tap)
{
	tap->incoming = (struct stap_source){
		.sk = tap->sk, .direction = &tap->recv, .fill = fill,
	};
}

bool stap_gate_advance(struct stap *tap)
{
	bool readable = false;

	if (!tap->started)
		start(tap);
	do {
		if (tap->error || (tap->drop && !eat(tap)))
			break;
	} while (next(tap, &readable));
	return readable;
}

void stap_gate_data_ready(struct sock *sk)
{
	struct stap *tap;

	rcu_read_lock();
	tap = stap_of(sk);
	/* Without a tap: a child for which there was no memory. Nobody can read it either. */
	if (tap && (sk->sk_state == TCP_LISTEN || !stap_is_tapped(&tap->recv) ||
		    stap_gate_advance(tap) || (sk->sk_shutdown & RCV_SHUTDOWN) || sk->sk_err))
		tap->data_ready(sk);
	rcu_read_unlock();
}
