/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program meets at a netfilter hook: the contract between kmod/packet/hook.c, which
 * runs programs, and umh/codegen, which writes them.
 *
 * A program is a BPF_PROG_TYPE_SCHED_CLS, run with bottom halves off and inside RCU.
 *
 * ITS CONTEXT is the struct __sk_buff of the packet:
 *   - Offset 0 of bpf_skb_load_bytes() is the first byte of the IP header, at every
 *     hook. Of ctx only what stands before ctx->cb may be used: skb->cb, where the rest
 *     lies or leads to, is IP's here. Four helpers may be called: see IOC_COMMIT.
 *     What lies beyond the linear part is reached by load_bytes too.
 *   - ctx->len is the length of the packet from the IP header on, which is what
 *     iptables counts as bytes.
 *   - The IP header's fixed part is there, and was checked by the stack; nothing
 *     behind it is known to be.
 *
 * WHAT THE PACKET DOES NOT CARRY is in the first bytes of element 0 of the per-CPU
 * array given as `context_fd` at COMMIT: struct bpfilter_context. The module fills
 * it for this CPU just before the program runs (`quirks`: at COMMIT), but for what COMMIT said that
 * no program looks at, and nobody else writes those bytes. The
 * rest of the element is the program's own; it survives from packet to packet. Element
 * 0 may be larger than the structure below: that is how it grows.
 *
 * A PROGRAM THAT WALKS RECORDS (IOC_COMMIT_RECORDS) finds it elsewhere: in an array of one large
 * element, cut into pieces of one size, BPFILTER_NESTING for each CPU: what a target sends from
 * within a hook is at other hooks, on the same CPU, before that one is done. The number of its own,
 * cpu * BPFILTER_NESTING + depth, stands in ctx->cb[0], which it may use for that; the bytes are
 * given back to IP afterwards. Deeper than that, packets are dropped. In the context the module
 * tells where the records of this hook begin, as the COMMIT said. Such a program may ask to be run
 * again for the same packet with the result BPFILTER_AGAIN; it gets the same context, where `again`
 * is what it left there: 0 for a new packet. No more than 2^20 times, then the packet is dropped.
 *
 * With the result BPFILTER_CALL it asks the module to call the instance `call` (pipe.h, IOC_CHECK)
 * of its table, and to be run again, as above; it must have set `again`. For a match `answer` tells
 * whether it matches; if it wants the packet dropped, that is done, at once or behind the rule, if
 * that matches, and the program is not run again. Nor is it if a target has a verdict. If it has
 * none (XT_CONTINUE), the program goes on, but what it knew of the packet may be different now. An
 * instance that is not there, or is not for this hook: the packet is dropped. Calls count as runs.
 *
 * With BPFILTER_STEP in ctx->cb[0] it is to stop as soon as a rule has counted, or has turned out
 * not to match, or sooner, with the result that has it go on if there is more to do. It says in
 * `counted` which one, or that it is within one. So the module prints the rules that a packet with
 * nf_trace set matches, and drops, behind the rule, a packet that a match of it wants dropped
 * though it matches. A program that does not walk records is never stopped: what it matched is seen
 * by its counters, which must be the first that is kept, an array per CPU with a struct xt_counters
 * for each rule.
 *
 * IPv6: an instance is told where the transport header is and of which part of a packet it is (the
 * fragment offset), as ip6_tables tells it: both as they were found for its rule, if that asks for
 * a protocol; else 0 and the offset that was found last, for any rule. Of rules without instances
 * the module learns that they asked by the call BPFILTER_CALL_TRANSPORT, which is as that of a
 * match: it is there in a table that has an instance at all.
 *
 * ITS RESULT is a netfilter verdict. Anything else is taken for BPFILTER_DROP.
 *
 * The program counts: the module touches no counter.
 */
#ifndef BPFILTER_CONTEXT_H
#define BPFILTER_CONTEXT_H

#include <linux/types.h>

#define BPFILTER_IFNAME_LEN 16 /* IFNAMSIZ */
#define BPFILTER_NESTING 4
/* Instead of an instance: look for the transport header. No table has so many instances. */
#define BPFILTER_CALL_TRANSPORT 0xffffffff

/* What stands before the IP header, by the device the packet is on (skb->dev). */
enum bpfilter_link {
	BPFILTER_LINK_OTHER = 0, /* no Ethernet device, or no device */
	BPFILTER_LINK_ETHERNET = 1, /* an Ethernet header, for bpf_skb_load_bytes_relative() */
	BPFILTER_LINK_MISSING = 2, /* an Ethernet device, but no such header */
};

/*
 * What some kernels make of an IPv6 extension header that says to reach beyond the end of
 * the packet. Without any of these such a packet is bad: ipv6_find_hdr() fails, and the
 * matches have it dropped. It is a matter of the stable update, so the module tries out,
 * once, what the kernel it is in does.
 */
enum bpfilter_quirk {
	BPFILTER_QUIRK_WALK = 1, /* ipv6_find_hdr() steps over it */
	BPFILTER_QUIRK_OPTIONS = 2, /* hbh, dst and rt do not match it */
	BPFILTER_QUIRK_AUTHENTICATION = 4, /* ah does not mind */
};

/*
 * 64 bytes. The names of the devices as they are now, all zero where the hook has
 * none (in at LOCAL_OUT, out at LOCAL_IN). Bytes behind the NUL may be anything.
 */
struct bpfilter_context {
	char in[BPFILTER_IFNAME_LEN];
	char out[BPFILTER_IFNAME_LEN];
	__u32 link; /* enum bpfilter_link */
	__u32 quirks; /* a set of enum bpfilter_quirk */
	/* Of a program that walks records: */
	__u32 root; /* where those of this hook begin */
	__u32 again; /* the program's, but 0 for a new packet */
	__u32 call; /* the program's: of an instance */
	__u32 answer; /* of a match that was called: 0 or 1 */
	/*
	 * Where COMMIT_CONNECTION asks for it: XT_CONNTRACK_STATE_* (xt_conntrack.h): one of
	 * INVALID, UNTRACKED and those of a connection, and if it is translated SNAT, DNAT.
	 */
	__u32 connection;
	/*
	 * The program's: 16 times the place in the table of the last rule that counted, or more by
	 * less than 16; or BPFILTER_WITHIN.
	 */
	__u32 counted;
};

/* In ctx->cb[0]. */
#define BPFILTER_STEP 0x80000000U

#define BPFILTER_WITHIN 0xfffffffeU

enum bpfilter_verdict {
	BPFILTER_DROP = 0, /* NF_DROP */
	BPFILTER_ACCEPT = 1, /* NF_ACCEPT */
	BPFILTER_QUEUE = 3, /* NF_QUEUE, to queue 0 */
	BPFILTER_AGAIN = 256, /* none yet: run it again */
	BPFILTER_CALL = 257, /* none yet: call an instance, then run it again */
};

#endif /* BPFILTER_CONTEXT_H */
