/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rules as data. C and C++; all numbers are the host's, all places offsets in the arena.
 *
 * A RECORD is a rule: up to three ranges over the first words of the key, and a word. Records are
 * asked one after the other; with one that matches, its WORD is carried out: an operation in its
 * low four bits, the rest its argument. Of those that argue with a slot it is slot * 16, which is
 * where the slot's counter is; of others it is where an ACT lies.
 *
 * What is no range over the first words of the key stands behind the record, as tests that lead to
 * the next word whatever they find: so any expression can be said, and is not looked at unless
 * the ranges hold.
 *
 * A table is written twice if it asks for headers: see struct bpfilter_root.
 */
#ifndef UMH_BPF_RECORD_H
#define UMH_BPF_RECORD_H

#include <linux/types.h>

/* The first ones are netfilter's verdicts. */
enum bpfilter_operation {
	/* Of a slot, which counts: */
	BPFILTER_OP_DROP = 0,
	BPFILTER_OP_ACCEPT = 1,
	BPFILTER_OP_CONTINUE = 2, /* with the next record */
	BPFILTER_OP_QUEUE = 3,
	BPFILTER_OP_RETURN = 4,
	/* Of a struct bpfilter_jump, which counts: */
	BPFILTER_OP_JUMP = 5,
	BPFILTER_OP_GOTO = 6,
	/* These do not count. */
	BPFILTER_OP_TEST = 7,	  /* struct bpfilter_test */
	BPFILTER_OP_LISTED = 8,	  /* struct bpfilter_listed */
	BPFILTER_OP_FAIL = 9,	  /* the rule does not match: on with the next record */
	BPFILTER_OP_CUT_OFF = 10, /* drop: what was asked for is cut off */
	BPFILTER_OP_CALL = 11,	  /* struct bpfilter_call */
	/* These count, and go on with the next record. */
	BPFILTER_OP_TARGET = 12,   /* struct bpfilter_target */
	BPFILTER_OP_SET_MARK = 13, /* struct bpfilter_set */

	BPFILTER_OP_BITS = 15,
};

#define BPFILTER_RANGES 3

/* key[place] - low <= span for each, modulo 2^32. Of what is not used: place 0, span ~0. */
struct bpfilter_record {
	__u32 low[BPFILTER_RANGES];
	__u32 span[BPFILTER_RANGES];
	__u8 place[BPFILTER_RANGES]; /* bytes, from the start of the key */
	__u8 more;		     /* 0: only the first one is used */
	__u32 word;
};

struct bpfilter_jump {
	__u32 slot;   /* * 16 */
	__u32 target; /* a record; of the other way, so much further */
	__u32 unused[2];
};

/* (key[place] & mask) - low <= span ? yes : no */
struct bpfilter_test {
	__u32 place; /* bytes, from the start of the key */
	__u32 mask;
	__u32 low;
	__u32 span;
	__u32 yes; /* words of records */
	__u32 no;
	__u32 unused[2];
};

/* Are these items in the list of addresses (enum List: route), in this order? */
struct bpfilter_listed {
	__u32 count;
	__u32 items; /* where they are, 16 bytes each */
	__u32 yes;
	__u32 no;
};

/* Does this instance match? The module is asked (bpfilter/context.h). */
struct bpfilter_call {
	__u32 instance;
	__u32 yes;
	__u32 no;
	__u32 unused;
};

/* An instance that does something, and may have a verdict: then the program is not run again. */
struct bpfilter_target {
	__u32 slot; /* * 16 */
	__u32 instance;
	__u32 unused[2];
};

/* skb->mark = (skb->mark & keep) ^ flip */
struct bpfilter_set {
	__u32 slot; /* * 16 */
	__u32 keep;
	__u32 flip;
	__u32 unused;
};

/*
 * Where a hook begins. There are two ways through its rules: in the one, a header that a rule asks
 * for is there or is not; in the other, it may also be cut off, and the packet is dropped for it.
 * The latter is for those packets alone of which the parser says so, in enum bpfilter_odd. A target
 * may make one of a packet that is on its way: so on both ways a rule stands at the same distance.
 */
struct bpfilter_root {
	__u32 odd;	 /* which of enum bpfilter_odd matter to these rules */
	__u32 entry;	 /* a record, for most packets */
	__u32 underflow; /* a record, for most packets */
	__u32 exact;	 /* for those it is so much further */
	__u32 depth;	 /* of the stack */
	__u32 counters;	 /* of CPU 0: of 16 bytes a slot */
	__u32 stride;	 /* from one CPU's counters to the next one's */
	__u32 unused;
};

/* What is cut off. _HERE: and a rule that asks for this protocol would ask for it. */
enum bpfilter_odd {
	BPFILTER_ODD_TRANSPORT = 1,
	BPFILTER_ODD_TCP = 2,
	BPFILTER_ODD_TCP_HERE = 4, /* TCP */
	BPFILTER_ODD_PORTS = 8,
	BPFILTER_ODD_PORTS_HERE = 16, /* all but TCP */
	BPFILTER_ODD_MOBILITY = 32,
	BPFILTER_ODD_MOBILITY_HERE = 64, /* mobility */
	BPFILTER_ODD_TCP_OPTIONS = 128,
	BPFILTER_ODD_TCP_OPTIONS_HERE = 256, /* the rest of the TCP header is there */
	BPFILTER_ODD_EUI64 = 512,
	BPFILTER_ODD_HOP = 1024, /* the extension headers, in the order of enum extension */
	BPFILTER_ODD_ROUTING = 2048,
	BPFILTER_ODD_FRAG = 4096,
	BPFILTER_ODD_AH = 8192,
	BPFILTER_ODD_DST = 16384,
	BPFILTER_ODD_SCTP = 32768, /* where beginnings are asked for */
};

/* The first number in an arena. Whoever finds another one knows nothing of what is in it. */
#define BPFILTER_ARENA_LAYOUT 3

#endif /* UMH_BPF_RECORD_H */
