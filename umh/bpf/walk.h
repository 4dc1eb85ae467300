/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The walker: one program for whatever the records say. It does so many steps and then asks to be
 * run again, so there is no loop around them for the verifier to go through. `e` is the element.
 *
 * What it finds in the arena it does not trust: a place is masked, the depth is looked at.
 */
#ifndef UMH_BPF_WALK_H
#define UMH_BPF_WALK_H

#include "umh/bpf/parse.h"
#include "umh/bpf/record.h"

enum {
	steps_max = 8, /* of so many records each, or of one word */
	records_at_once = 16,
	arena_slack = 4096, /* bytes behind the end of the arena that may be read */
};

#define RECORD(field) __builtin_offsetof(struct bpfilter_record, field)
#define TEST(field) __builtin_offsetof(struct bpfilter_test, field)
#define JUMP(field) __builtin_offsetof(struct bpfilter_jump, field)
#define LISTED(field) __builtin_offsetof(struct bpfilter_listed, field)
#define ROOT(field) __builtin_offsetof(struct bpfilter_root, field)
#define ASKED(field) __builtin_offsetof(struct bpfilter_call, field)
#define TARGET(field) __builtin_offsetof(struct bpfilter_target, field)
#define SET(field) __builtin_offsetof(struct bpfilter_set, field)

/* What is to be done first when the program is run again for a packet: context `again`. */
enum {
	again_new, /* it is a new one */
	again_walk,
	again_answer, /* take what a match says */
	again_parse,  /* look at it anew: a target may have changed it */
};

#define IN_ARENA(offset) \
	(AT_DIRECT_ADDRESS(bf_map_arena) + ((offset) & (u32)NUMBER(bf_number_arena_mask)))

/* On to `fail` unless the n-th range of the record at p + at holds. In assembly, since the compiler
 * would keep parts of it in places where the verifier loses sight of them. */
#define RANGE(p, e, at, n, fail)                                                          \
	asm goto("r1 = *(u8 *)(%0 + %2)\n"                                                \
		 "r1 += %1\n"                                                             \
		 "w1 = *(u32 *)(r1 + %5)\n"                                               \
		 "w2 = *(u32 *)(%0 + %3)\n"                                               \
		 "w1 -= w2\n"                                                             \
		 "w2 = *(u32 *)(%0 + %4)\n"                                               \
		 "if w1 > w2 goto %l[" #fail "]"                                          \
		 :                                                                        \
		 : "r"(p), "r"(e), "i"((at) + RECORD(place) + (n)),                       \
		   "i"((at) + RECORD(low) + 4 * (n)), "i"((at) + RECORD(span) + 4 * (n)), \
		   "i"(element_key)                                                       \
		 : "r1", "r2", "memory"                                                   \
		 : fail)

/* On to `yes` if the record at p + at uses no more than its first range. */
#define ONE_RANGE(p, at, yes)                       \
	asm goto("w2 = *(u8 *)(%0 + %1)\n"          \
		 "if w2 == 0 goto %l[" #yes "]"     \
		 :                                  \
		 : "r"(p), "i"((at) + RECORD(more)) \
		 : "r2", "memory"                   \
		 : yes)

/* Not `off += 32 * n`: 6.11 and later would keep eight states apart. */
#define MATCH(n)                          \
	RANGE(p, e, 32 * (n), 0, no_##n); \
	ONE_RANGE(p, 32 * (n), yes_##n);  \
	RANGE(p, e, 32 * (n), 1, no_##n); \
	RANGE(p, e, 32 * (n), 2, no_##n); \
	yes_##n : found = 32 * (n);       \
	LAUNDER(found);                   \
	goto matched;                     \
	no_##n:

INLINE void count(u8 *e, u32 slot)
{
	u8 *counter = IN_ARENA((slot & ~15) + WORD(e, element_counters));

	DOUBLE(counter, 0)++;
	DOUBLE(counter, 8) += WORD(e, key_length);
	CONTEXT(e, counted) = slot;
}

/* The word that follows from a struct bpfilter_test. */
INLINE u32 test(u8 *e, u8 *act)
{
	u32 place = WORD(act, TEST(place)) & 511;
	u32 value = WORD(e + place, element_key) & WORD(act, TEST(mask));

	return value - WORD(act, TEST(low)) <= WORD(act, TEST(span)) ? WORD(act, TEST(yes))
								     : WORD(act, TEST(no));
}

/* How many items were found so far, and which are wanted. */
enum { listed_found = element_scratch, listed_act = element_scratch + 4 };

enum { listed_max = 127 };

/* Is the i-th address the next one that is wanted? */
FUNCTION long bf_listed(u64 i, struct walker *walker)
{
	u8 *e = walker->e, *act = IN_ARENA(WORD(e, listed_act)), *item;
	u32 found = WORD(e, listed_found);

	if (i >= listed_max || i >= WORD(e, key_routing_addresses) ||
	    found >= WORD(act, LISTED(count)))
		return stop;
	item = IN_ARENA(WORD(act, LISTED(items)) + found * 16);
	e += i * 16;
	if (DOUBLE(item, 0) == DOUBLE(e, key_list) && DOUBLE(item, 8) == DOUBLE(e, key_list + 8)) {
		e = walker->e;
		WORD(e, listed_found) = found + 1;
	}
	return go_on;
}

/* The word that follows from the struct bpfilter_listed at `place`. */
INLINE u32 listed(u8 *e, u32 place)
{
	struct walker walker = { 0, e };
	u8 *act = IN_ARENA(place);

	WORD(e, listed_act) = place;
	WORD(e, listed_found) = 0;
	bpf_loop(listed_max, bf_listed, &walker, 0);
	return WORD(e, listed_found) >= WORD(act, LISTED(count)) ? WORD(act, LISTED(yes))
								 : WORD(act, LISTED(no));
}

/* On which way, by what is cut off: 0, or how much further records are. */
INLINE u32 way_of(u8 *e, u8 *root)
{
	return WORD(e, element_odd) & WORD(root, ROOT(odd)) ? WORD(root, ROOT(exact)) : 0;
}

/* `number`: of the element. */
INLINE void begin(u8 *e, u32 number)
{
	u8 *root = IN_ARENA(CONTEXT(e, root));
	u32 cpu = number / BPFILTER_NESTING, way = way_of(e, root);

	WORD(e, element_off) = WORD(root, ROOT(entry)) + way;
	WORD(e, element_way) = way;
	WORD(e, element_stack) = WORD(root, ROOT(underflow));
	WORD(e, element_depth) = 0;
	WORD(e, element_depth_max) = WORD(root, ROOT(depth));
	WORD(e, element_counters) = WORD(root, ROOT(counters)) + cpu * WORD(root, ROOT(stride));
}

/*
 * A packet that was parsed anew may change over: what it goes on with is the same rule there, and
 * what it returns to is kept without the way.
 */
INLINE void change_way(u8 *e)
{
	u32 way = way_of(e, IN_ARENA(CONTEXT(e, root)));

	WORD(e, element_off) += way - WORD(e, element_way);
	WORD(e, element_way) = way;
}

/* Matches change nothing of a packet but its mark (socket --restore-skmark). */
INLINE void take_answer(struct __sk_buff *skb, u8 *e)
{
	u8 *act = IN_ARENA(WORD(e, element_pending) & ~15U);

	WORD(e, element_pending) =
		CONTEXT(e, answer) ? WORD(act, ASKED(yes)) : WORD(act, ASKED(no));
	if (NEEDS(mark))
		WORD(e, key_mark) = skb->mark;
}

INLINE void set_mark(struct __sk_buff *skb, u8 *e, u8 *act)
{
	u32 mark = (skb->mark & WORD(act, SET(keep))) ^ WORD(act, SET(flip));

	skb->mark = mark;
	if (NEEDS(mark))
		WORD(e, key_mark) = mark;
}

/* The result that has this instance called. `off`, `again`: what comes then. */
INLINE int call(u8 *e, u32 instance, u32 off, u32 again)
{
	WORD(e, element_off) = off;
	CONTEXT(e, call) = instance;
	CONTEXT(e, again) = again;
	return BPFILTER_CALL;
}

/* Where to return to. The stack ends with the underflow, which stays. */
INLINE u32 pop(u8 *e)
{
	u32 depth = WORD(e, element_depth) & (element_stack_max - 1);

	if (depth)
		WORD(e, element_depth) = depth - 1;
	return WORD(e + 4 * depth, element_stack) + WORD(e, element_way);
}

/* 0, or the stack is full. */
INLINE int push(u8 *e, u32 off)
{
	u32 depth = WORD(e, element_depth) + 1;

	if (depth > WORD(e, element_depth_max) || depth >= element_stack_max)
		return -1;
	WORD(e, element_depth) = depth;
	WORD(e + 4 * depth, element_stack) = off - WORD(e, element_way);
	return 0;
}

/* From element_off on, that many steps: a verdict, BPFILTER_AGAIN or BPFILTER_CALL. */
INLINE int walk(struct __sk_buff *skb, u8 *e, int steps)
{
	u32 off = WORD(e, element_off);
	int i;

	for (i = steps_max - steps; i < steps_max; i++) {
		u32 word, operation, found;
		u8 *p;

		if (off & 2) {
			off &= ~2U;
			word = WORD(e, element_pending);
		} else {
			p = IN_ARENA(off);
			MATCH(0);
			MATCH(1);
			MATCH(2);
			MATCH(3);
			MATCH(4);
			MATCH(5);
			MATCH(6);
			MATCH(7);
			MATCH(8);
			MATCH(9);
			MATCH(10);
			MATCH(11);
			MATCH(12);
			MATCH(13);
			MATCH(14);
			MATCH(15);
			off += 32 * records_at_once;
			continue;
		matched:
			off += found;
			word = WORD(IN_ARENA(off), RECORD(word));
		}
		operation = word & BPFILTER_OP_BITS;
		if (operation <= BPFILTER_OP_RETURN) {
			count(e, word);
			if (operation == BPFILTER_OP_CONTINUE) {
				off += 32;
				continue;
			}
			if (operation != BPFILTER_OP_RETURN) {
				CONTEXT(e, again) = again_new;
				return operation;
			}
			off = pop(e);
			continue;
		}
		if (operation == BPFILTER_OP_FAIL) {
			off += 32;
			continue;
		}
		if (operation <= BPFILTER_OP_GOTO) {
			p = IN_ARENA(word & ~15U);
			count(e, WORD(p, JUMP(slot)));
			if (operation == BPFILTER_OP_JUMP && push(e, off + 32))
				goto drop;
			off = WORD(p, JUMP(target)) + WORD(e, element_way);
			continue;
		}
		p = IN_ARENA(word & ~15U);
		if (operation == BPFILTER_OP_CALL) {
			WORD(e, element_pending) = word;
			return call(e, WORD(p, ASKED(instance)), off | 2, again_answer);
		}
		if (operation == BPFILTER_OP_TARGET) {
			count(e, WORD(p, TARGET(slot)));
			return call(e, WORD(p, TARGET(instance)), off + 32, again_parse);
		}
		if (operation == BPFILTER_OP_SET_MARK) {
			count(e, WORD(p, SET(slot)));
			set_mark(skb, e, p);
			off += 32;
			continue;
		}
		if (operation == BPFILTER_OP_TEST)
			word = test(e, p);
		else if (NEEDS(route) && operation == BPFILTER_OP_LISTED)
			word = listed(e, word & ~15U);
		else
			goto drop; /* BPFILTER_OP_CUT_OFF */
		WORD(e, element_pending) = word;
		off |= 2;
	}
	WORD(e, element_off) = off;
	CONTEXT(e, again) = again_walk;
	if (off & 2)
		CONTEXT(e, counted) = BPFILTER_WITHIN;
	return BPFILTER_AGAIN;
drop:
	CONTEXT(e, again) = again_new;
	return BPFILTER_DROP;
}

#endif /* UMH_BPF_WALK_H */
