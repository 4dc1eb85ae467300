/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What other modules ask of the helper. They find bpfilter_call by symbol_get(), so that they
 * can do without this module.
 */
#ifndef KMOD_CALLER_CALL_H
#define KMOD_CALLER_CALL_H

#include <linux/types.h>

#include <bpfilter/pipe.h>

struct bpfilter_request;
struct module;
struct net;

/* What the helper's descriptors become for who asked; functions of `owner`. */
struct bpfilter_gift_kind {
	struct module *owner;
	/* In the helper's context; it may sleep. An object, or an ERR_PTR. */
	void *(*take)(s32 fd);
	void (*drop)(void *object);
};

struct bpfilter_call {
	enum bpfilter_opcode opcode; /* TAP */
	struct net *net; /* or NULL */
	const void *body;
	u32 length;
	const struct bpfilter_gift_kind *kind;
	u32 count; /* of gifts; all are given, or none */
};

/*
 * Waits for the answer. Then the gifts are the caller's, NULL where the helper gave none. It
 * is an error of the helper's, one of bpfilter_queue_wait(), or -ENOMEM. With no locks held.
 */
typedef int bpfilter_call_fn(const struct bpfilter_call *call, void **gift);
bpfilter_call_fn bpfilter_call;

/* The helper gives; see BPFILTER_IOC_GIVE. By who holds the request. */
int bpfilter_call_give(struct bpfilter_request *request, const struct bpfilter_give *give);
/* With the request. */
void bpfilter_call_drop(struct bpfilter_request *request);

#endif /* KMOD_CALLER_CALL_H */
