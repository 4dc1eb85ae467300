// SPDX-License-Identifier: GPL-2.0
#include <linux/bottom_half.h>
#include <linux/if_ether.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <net/sock.h>

#include "stap/compat.h"
#include "stap/view.h"

static DEFINE_PER_CPU(struct stap_view, views);

/* A program of type SK_SKB may have pulled, grown or shrunk what it saw. */
static void undo(struct sk_buff *skb)
{
	struct skb_shared_info *shared = skb_shinfo(skb);

	while (shared->nr_frags)
		put_page(skb_frag_page(&shared->frags[--shared->nr_frags]));
	shared->gso_size = 0;
	shared->gso_type = 0;
	skb->data = skb->head;
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	skb->_sk_redir = 0;
}

static void free_tails(struct stap_view *view)
{
	struct skb_shared_info *shared = skb_shinfo(view->skb);
	struct sk_buff *tail;

	if (view->borrowed)
		skb_walk_frags(view->skb, tail)
			skb_shinfo(tail)->nr_frags = 0;
	kfree_skb_list(shared->frag_list);
	shared->frag_list = NULL;
}

struct stap_view *stap_view_begin(struct sock *sk, bool only_looks)
{
	struct stap_view *view;

	local_bh_disable();
	view = this_cpu_ptr(&views);
	view->tail = view->skb;
	view->borrowed = only_looks;
	/* Without a reference: the caller has the socket. */
	view->skb->sk = sk;
	view->skb->protocol = sk->sk_family == AF_INET ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	return view;
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

/* The next page of the same allocation, which nobody has to count references of? */
static bool is_next(const struct stap_view *view, const struct page *page, u32 offset)
{
	const struct skb_shared_info *shared = skb_shinfo(view->tail);
	const skb_frag_t *last;
	u32 end;

	if (!view->borrowed || !shared->nr_frags)
		return false;
	last = &shared->frags[shared->nr_frags - 1];
	end = skb_frag_off(last) + skb_frag_size(last);
	return offset == offset_in_page(end) &&
	       page == skb_frag_page(last) + (end >> PAGE_SHIFT) &&
	       compound_head(page) == compound_head(skb_frag_page(last));
}

int stap_view_add(struct stap_view *view, struct page *page, u32 offset, u32 size)
{
	struct skb_shared_info *shared = skb_shinfo(view->tail);
	int error;

	if (is_next(view, page, offset)) {
		skb_frag_size_add(&shared->frags[shared->nr_frags - 1], size);
		grow(view, size);
		return 0;
	}
	if (shared->nr_frags == MAX_SKB_FRAGS) {
		error = add_tail(view);
		if (error)
			return error;
		shared = skb_shinfo(view->tail);
	}
	if (!view->borrowed)
		get_page(page);
	skb_fill_page_desc_noacc(view->tail, shared->nr_frags, page, offset, size);
	grow(view, size);
	return 0;
}

/* The linear part of an skb: of memory that can have no reference a copy is made, if one is due. */
static int add_linear(struct stap_view *view, const struct sk_buff *skb, u32 offset, u32 size)
{
	const u8 *data = skb->data + offset;
	struct page *page = virt_to_head_page(data);
	int error;

	if (view->borrowed || skb->head_frag)
		return stap_view_add(view, page, data - (u8 *)page_address(page), size);
	page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, get_order(size));
	if (!page)
		return -ENOMEM;
	memcpy(page_address(page), data, size);
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
	struct sk_buff *skb = view->skb;

	if (view->tail != skb)
		free_tails(view);
	if (!view->borrowed)
		undo(skb);
	skb_shinfo(skb)->nr_frags = 0;
	skb->len = 0;
	skb->data_len = 0;
	skb_reset_tail_pointer(skb);
	skb->sk = NULL;
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
		skb_reset_mac_header(skb);
		skb_reset_network_header(skb);
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
