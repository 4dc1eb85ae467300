/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Gifts: what the helper gives to who asked, as descriptors (BPFILTER_IOC_GIVE), and what they
 * become for him. They belong to the request until he takes them.
 */
#ifndef KMOD_REQUEST_GIFT_H
#define KMOD_REQUEST_GIFT_H

#include <linux/types.h>

#include <bpfilter/pipe.h>

struct module;

/* What descriptors become for who asked; functions of `owner`. */
struct bpfilter_gift_kind {
	struct module *owner;
	/* In the helper's context; it may sleep. An object, or an ERR_PTR. */
	void *(*take)(s32 fd);
	void (*drop)(void *object);
};

/* Of one request. */
struct bpfilter_gifts {
	const struct bpfilter_gift_kind *kind; /* holds its owner; NULL: there are none */
	void *gift[BPFILTER_GIFTS_MAX];
	u32 count;
	u32 wanted;
};

/* The helper gives: all that are wanted, or none. */
int bpfilter_gifts_take(struct bpfilter_gifts *gifts, const struct bpfilter_give *give);
/* With the request. */
void bpfilter_gifts_end(struct bpfilter_gifts *gifts);

#endif /* KMOD_REQUEST_GIFT_H */
