// SPDX-License-Identifier: GPL-2.0
//
// Backends: where a program can run, and what it meets there. This table is the contract;
// generators take all their knowledge of a place from it.
//
//              netfilter                          xdp
//   type       SCHED_CLS                          XDP
//   run by     kmod/packet/hook.c, at the hook    the device's driver, or generic XDP
//   packet     IP header at offset 0              Ethernet header at 0, IP at 14
//   bytes      bpf_skb_load_bytes                 bpf_xdp_load_bytes (frames in fragments too)
//   length     ctx->len                           the IP header's total length, checked
//              (both are what iptables counts)
//   devices    names from struct bpfilter_context known when the program is made
//   checked    the IP header, by the stack        nothing: the program checks what ip_rcv does
//   chains     all                                the lead of INPUT, no jumps
//   verdicts   ACCEPT, DROP, QUEUE                DROP; the rest is passed on, uncounted, to
//                                                 netfilter, which evaluates from the start
//   hotdrop    DROP                               passed on
#pragma once

#include <cstdint>
#include <linux/bpf.h>

namespace bpfilter::codegen {

struct Backend {
    const char *name;
    bpf_prog_type type;
    std::uint32_t flags;     // BPF_F_* for the load
    std::int32_t l3;         // offset of the IP header, for load_bytes
    std::int32_t load_bytes; // BPF_FUNC_*: (ctx, offset, to, length), 0 if all were there
    bool counts_ip_length;   // else ctx->len - l3
    std::uint32_t accept;
    std::uint32_t drop;
    std::uint32_t queue; // netfilter only: xdp passes
};

extern const Backend netfilter;
extern const Backend xdp;

} // namespace bpfilter::codegen
