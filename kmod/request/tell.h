/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tell: when the helper is told, by OP_DEVICES, to look at a namespace.
 *
 * Whatever happens there and however often, what is kept of it is that the helper is to look. It
 * is told no more than once a second, when the namespace's own requests are done. One where
 * something changes again and again is told to be unsettled, once, and then to be looked at when
 * it has been quiet for a while.
 */
#ifndef KMOD_REQUEST_TELL_H
#define KMOD_REQUEST_TELL_H

struct bpfilter_news;
struct net;

/* Something changed there. From any context that may take a spinlock, but no interrupt. */
void bpfilter_tell_moved(struct net *net);
/* It is to be looked at for another reason. */
void bpfilter_tell_again(struct net *net);

void bpfilter_news_init(struct bpfilter_news *news, struct net *net);
/* The namespace goes. */
void bpfilter_news_exit(struct bpfilter_news *news);
/*
 * What is told of from now on is not heard: routes until the end of each namespace. Before that, as
 * who is told of may be gone otherwise.
 */
void bpfilter_tell_exit(void);

#endif /* KMOD_REQUEST_TELL_H */
