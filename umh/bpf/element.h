/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An element: what a program knows of one packet while it has it. There are BPFILTER_NESTING for
 * each CPU, all in one map; ctx->cb[0] says which. The module fills its first bytes
 * (bpfilter/context.h), the parser the key, the walker the rest. C and C++.
 */
#ifndef UMH_BPF_ELEMENT_H
#define UMH_BPF_ELEMENT_H

/* Offsets in bytes. */
enum {
	element_context = 0, /* struct bpfilter_context */
	element_key = 64,    /* words: umh/core/ir/fields.def */

	/* The walker's. */
	element_off = 2560,	/* of the record to go on with, less `way`; bit 1: with `pending` */
	element_pending = 2564, /* a word of a record */
	element_depth = 2568,	/* of the stack */
	element_depth_max = 2572,
	element_counters = 2576, /* of this table, for this CPU, in the arena */
	element_way = 2584,	 /* 0, or how much further records are on the exact way */

	/* The parser's. */
	element_odd = 2580,	/* headers that are cut off: enum odd */
	element_walk = 2592,	/* IPv6: struct walk */
	element_scratch = 2688, /* bytes of the packet; the IP header ends there */
	element_scratch_size = 64,

	element_stack = 4096, /* records, less `way`: the underflow, then what to return to */
	element_stack_max = 4096,

	element_bits = 15,
	element_size = 1 << element_bits,
};

#endif /* UMH_BPF_ELEMENT_H */
