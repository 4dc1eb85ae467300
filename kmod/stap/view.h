/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program sees: an skb that holds a stretch of the stream, from offset 0 on. There is
 * one per CPU, which is used over and over: between stap_view_begin() and stap_view_end(),
 * which bottom halves are off between. Short stretches are copied, of long ones the pages are
 * referred to; without references of their own if programs only look, for whoever fills the view
 * has the socket's lock, and they stay.
 */
#ifndef KMOD_STAP_VIEW_H
#define KMOD_STAP_VIEW_H

#include <linux/skbuff.h>
#include <linux/types.h>

struct page;
struct sock;

/* Up to here a stretch is copied. */
#define STAP_VIEW_COPIED 2048

struct stap_view {
	struct sk_buff *skb;
	struct sk_buff *tail; /* the skb, or the last of its frag_list */
	bool borrowed; /* its pages are others' */
};

/* only_looks: nobody changes what is seen. */
struct stap_view *stap_view_begin(struct sock *sk, bool only_looks);
/* Room for bytes that the caller writes: at most STAP_VIEW_COPIED, before any of the below. */
static inline void *stap_view_put(struct stap_view *view, u32 size)
{
	return __skb_put(view->skb, size);
}

/* Pages, behind what is there. ENOMEM. */
int stap_view_add(struct stap_view *view, struct page *page, u32 offset, u32 size);
/* A stretch of another skb. ENOMEM; EFAULT if it cannot be read. */
int stap_view_add_skb(struct stap_view *view, const struct sk_buff *skb, u32 offset, u32 size);
void stap_view_end(struct stap_view *view);

int stap_view_init(void);
void stap_view_exit(void);

#endif /* KMOD_STAP_VIEW_H */
