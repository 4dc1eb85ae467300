// SPDX-License-Identifier: GPL-2.0
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/tcp.h>

#include "stap/compat.h"
#include "stap/incoming.h"
#include "stap/stap.h"
#include "stap/view.h"

/* Behind its last byte. A FIN takes a number more. */
static u32 end_of(const struct sk_buff *skb)
{
	return TCP_SKB_CB(skb)->seq + skb->len;
}

u32 stap_incoming_end(const struct stap *tap)
{
	const struct sk_buff *last = skb_peek_tail(&tap->sk->sk_receive_queue);

	return last ? end_of(last) : tap->limit;
}

/*
 * The skb that TCP reads this byte from: the first that has it. Each skb ends behind the one
 * before, but may begin with bytes that were there already, and need not be the same ones. New
 * skbs come last.
 */
static const struct sk_buff *search(const struct sk_buff_head *queue, u32 sequence)
{
	const struct sk_buff *skb, *found = NULL;

	skb_queue_reverse_walk(queue, skb) {
		if (!after(end_of(skb), sequence))
			break;
		found = skb;
	}
	return found;
}

/* The same, on from where the last look began: messages are short, and the queue may be long. */
static const struct sk_buff *skb_at(struct stap *tap, u32 sequence)
{
	const struct sk_buff_head *queue = &tap->sk->sk_receive_queue;
	const struct sk_buff *skb = tap->cursor;

	if (!skb || before(sequence, tap->cursor_at))
		skb = search(queue, sequence);
	while (skb && !after(end_of(skb), sequence))
		skb = skb_queue_is_last(queue, skb) ? NULL : skb_queue_next(queue, skb);
	tap->cursor = skb;
	tap->cursor_at = sequence;
	return skb;
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
	struct stap *tap = container_of(source, struct stap, incoming);
	const bool copied = size <= STAP_VIEW_COPIED;
	u8 *to = copied ? stap_view_put(view, size) : NULL;
	u32 sequence = tap->limit + offset;
	const struct sk_buff *skb = skb_at(tap, sequence);
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

void stap_incoming_init(struct stap *tap)
{
	tap->incoming = (struct stap_source){
		.sk = tap->sk, .direction = &tap->recv, .fill = fill,
	};
}
