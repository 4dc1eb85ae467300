// SPDX-License-Identifier: GPL-2.0
//
// The key: what rules compare, in element 0 of the context map.
//
// The prologue parses a packet once and leaves here all that any rule asks for. Rules read
// it back from this memory each time: to the verifier such a value is an unknown number, so
// the states behind "matched" and "did not match" are the same, and thousands of rules are
// verified in a straight line. The program's own mutable state is here for the same reason.
//
// All multi-byte fields of the packet lie as they do in the packet; numbers are the host's.
#pragma once

#include "bpfilter/context.h"

#include <cstdint>

namespace bpfilter::codegen {

// Whether an L4 header can be asked: the value of key.tcp and key.short_header.
enum L4State : std::uint32_t {
    l4_present = 0,
    l4_fragment = 1, // of a later fragment: the match does not match
    l4_hotdrop = 2,  // truncated, or an overlapping TCP fragment: the packet is dropped
};

inline constexpr std::uint32_t scratch_size = 48;

struct Key {
    bpfilter_context names;             // filled by the module (netfilter), unused (xdp)
    std::uint8_t ip[20];                // the fixed part of the IP header
    std::uint8_t l4[20];                // TCP: 20 bytes, UDP and ICMP: 8
    std::uint32_t length;               // of the packet, from the IP header on
    std::uint32_t tcp;                  // L4State of a 20-byte header
    std::uint32_t short_header;         // L4State of an 8-byte header
    std::uint32_t options;              // L4State of the TCP options: never l4_fragment
    std::uint32_t option_kinds[8];      // bit n: an option of kind n is there
    std::uint32_t verdict;              // the result of a program with chains
    std::uint32_t pc;                   // the rule to go on with
    std::uint32_t depth;                // of the stack
    std::uint32_t counting;             // xdp: this is the second way through the lead
    std::uint8_t scratch[scratch_size]; // bytes of TCP options; xdp: Ethernet header
    std::uint32_t stack[];              // rules to return to
};

static_assert(sizeof(Key) % 8 == 0);

// The most return addresses: a value of a per-CPU map is at most 32 KiB.
inline constexpr std::uint32_t stack_max = 4096;

} // namespace bpfilter::codegen
