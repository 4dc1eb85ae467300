/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What other modules ask of the helper. They find bpfilter_call by symbol_get(), so that they
 * can do without this module.
 */
#ifndef KMOD_CALLER_CALL_H
#define KMOD_CALLER_CALL_H

#include <linux/types.h>

#include <bpfilter/pipe.h>

#include "request/gift.h"

struct net;

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

#endif /* KMOD_CALLER_CALL_H */
