// SPDX-License-Identifier: GPL-2.0
#include <linux/bottom_half.h>
#include <linux/if_ether.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/sock.h>

#include "../compat.h"
#include "view.h"

static DEFINE_PER_CPU(struct stap_view, views);

/* A program of type SK_SKB may have pulled, grown or shrunk what it saw. */
static void reset(struct sk_buff *skb)
{
	struct skb_shared_info *shared = skb_shinfo(skb);

	while (shared->nr_frags)
		put_page(skb_frag_page(&shared->frags[--shared->nr_frags]));
	kfree_skb_list(shared->frag_list);
	shared->frag_list = NULL;
	shared->gso_size = 0;
	shared->gso_type = 0;
	skb->data = skb->head;
	skb->len = 0;
	skb->data_len = 0;
	skb_reset_tail_pointer(skb);
}

struct stap_view *stap_view_begin(struct sock *sk)
{
	struct stap_view *view;

	local_bh_disable();
	view = this_cpu_ptr(&views);
	view->tail = view->skb;
	/* Without a reference: the caller has the socket. */
	view->skb->sk = sk;
	view->skb->protocol = sk->sk_family == AF_INET ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	skb_reset_mac_header(view->skb);
	skb_reset_network_header(view->skb);
	return view;
}

void *stap_view_put(struct stap_view *view, u32 size)
{
	return skb_put(view->skb, size);
}

static void grow(struct stap_view *view, u32 size)
{
	view->skb->len += size;
	view->skb->data_len += size;
	if (view->tail == view->skb)
		return;
	view->tail->len += size;
	view->tail->data_len += size;
}

static int add_tail(struct stap_view *view)
{
	struct sk_buff *tail = alloc_skb(0, GFP_ATOMIC | __GFP_NOWARN);

	if (!tail)
		return -ENOMEM;
	if (view->tail == view->skb)
		skb_shinfo(view->skb)->frag_list = tail;
	else
		view->tail->next = tail;
	view->tail = tail;
	return 0;
}

int stap_view_add(struct stap_view *view, struct page *page, u32 offset, u32 size)
{
	struct skb_shared_info *shared = skb_shinfo(view->tail);
	int error;

	if (shared->nr_frags == MAX_SKB_FRAGS) {
		error = add_tail(view);
		if (error)
			return error;
		shared = skb_shinfo(view->tail);
	}
	get_page(page);
	skb_fill_page_desc_noacc(view->tail, shared->nr_frags, page, offset, size);
	grow(view, size);
	return 0;
}

/* The linear part of an skb: of memory that has no references of its own a copy is made. */
static int add_linear(struct stap_view *view, const struct sk_buff *skb, u32 offset, u32 size)
{
	struct page *page;
	int error;

	if (skb->head_frag)
		return stap_view_add(view, virt_to_head_page(skb->data + offset),
				     skb->data + offset -
					(u8 *)page_address(virt_to_head_page(skb->data + offset)),
				     size);
	page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, get_order(size));
	if (!page)
		return -ENOMEM;
	memcpy(page_address(page), skb->data + offset, size);
	error = stap_view_add(view, page, 0, size);
	put_page(page);
	return error;
}

int stap_view_add_skb(struct stap_view *view, const struct sk_buff *skb, u32 offset, u32 size)
{
	const struct sk_buff *part;
	u32 i, some;
	int error;

	if (!skb_frags_readable(skb))
		return -EFAULT;
	if (offset < skb_headlen(skb) && size) {
		some = min(size, skb_headlen(skb) - offset);
		error = add_linear(view, skb, offset, some);
		if (error)
			return error;
		offset += some;
		size -= some;
	}
	offset -= min(offset, skb_headlen(skb));
	for (i = 0; i < skb_shinfo(skb)->nr_frags && size; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		if (offset >= skb_frag_size(frag)) {
			offset -= skb_frag_size(frag);
			continue;
		}
		some = min(size, skb_frag_size(frag) - offset);
		error = stap_view_add(view, skb_frag_page(frag), skb_frag_off(frag) + offset, some);
		if (error)
			return error;
		offset = 0;
		size -= some;
	}
	for (part = skb_shinfo(skb)->frag_list; part && size; part = part->next) {
		if (offset >= part->len) {
			offset -= part->len;
			continue;
		}
		some = min(size, part->len - offset);
		error = stap_view_add_skb(view, part, offset, some);
		if (error)
			return error;
		offset = 0;
		size -= some;
	}
	return size ? -EFAULT : 0;
}

void stap_view_end(struct stap_view *view)
{
	reset(view->skb);
	view->skb->sk = NULL;
	view->skb->_sk_redir = 0;
	local_bh_enable();
}

int __init stap_view_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct sk_buff *skb = alloc_skb(STAP_VIEW_COPIED, GFP_KERNEL);

		if (!skb) {
			stap_view_exit();
			return -ENOMEM;
		}
		per_cpu(views, cpu).skb = skb;
	}
	return 0;
}

void stap_view_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kfree_skb(per_cpu(views, cpu).skb);
}
