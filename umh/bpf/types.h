/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all of our C for BPF stands on. An object of it has no maps and no data: what is not known
 * when it is compiled are symbols that nobody defines, and that the loader (umh/load/object.h)
 * puts in. A bf_map_* is the value of a map of one element, at a direct address; a bf_number_* is
 * a number. The verifier knows that number, so what it rules out is neither verified nor run.
 */
#ifndef UMH_BPF_TYPES_H
#define UMH_BPF_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;

/* All functions are in one section, the entry first: calls need no linker. */
#define ENTRY __attribute__((section("bpf"), used))
#define FUNCTION static __noinline __attribute__((section("bpf")))
#define INLINE static __always_inline

/* An address that the compiler does not fold into others. */
#define AT_DIRECT_ADDRESS(symbol)            \
	({                                   \
		u8 *p_ = (symbol);           \
		asm volatile("" : "+r"(p_)); \
		p_;                          \
	})
#define NUMBER(symbol) ((u64)(symbol))

#define WORD(p, offset) (*(u32 *)((u8 *)(p) + (offset)))
#define DOUBLE(p, offset) (*(u64 *)((u8 *)(p) + (offset)))
#define BYTE(p, offset) (*((u8 *)(p) + (offset)))
#define SHORT(p, offset) (*(u16 *)((u8 *)(p) + (offset)))
#define SHORT_BE(p, offset) __builtin_bswap16(SHORT(p, offset))
#define WORD_BE(p, offset) __builtin_bswap32(WORD(p, offset))

/* Forgets what is known of a number, so that the verifier keeps one state and not many. */
#define LAUNDER(x) asm volatile("" : "+r"(x))

/* On to `out` unless low <= x <= high: two comparisons of the 64-bit register that holds it, which
 * are those that 6.1's verifier learns both bounds from. */
#define WITHIN(x, low, high, out)                 \
	asm goto("if %0 < %1 goto %l[" #out "]\n" \
		 "if %0 > %2 goto %l[" #out "]"   \
		 :                                \
		 : "r"(x), "i"(low), "i"(high)    \
		 :                                \
		 : out)

extern u8 bf_map_arena[];    /* records: record.h */
extern u8 bf_map_elements[]; /* elements: element.h */

extern const u8 bf_number_arena_mask[];	  /* of an offset in the arena */
extern const u8 bf_number_element_mask[]; /* of the number of an element */
extern const u8 bf_number_parts[];	  /* what of the key is filled in: bits of enum part */
extern const u8 bf_number_ipv6[];	  /* 0: IPv4, 1: IPv6 */
extern const u8 bf_number_l3[];		  /* where the IP header is in what load_bytes() reads */

#endif /* UMH_BPF_TYPES_H */
