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

#include <cstddef>
#include <cstdint>

namespace bpfilter::codegen {

// Whether a header can be asked.
enum HeaderState : std::uint32_t {
    header_present = 0,
    header_absent = 1,  // of a later fragment, or there is none: the match does not match
    header_hotdrop = 2, // truncated, or an overlapping TCP fragment: the packet is dropped
};

// A transport header.
struct Transport {
    std::uint8_t bytes[20];        // TCP: 20 bytes, UDP and ICMP: 8
    std::uint32_t tcp;             // HeaderState of a 20-byte header
    std::uint32_t short_header;    // HeaderState of an 8-byte header
    std::uint32_t options;         // HeaderState of the TCP options: never absent
    std::uint32_t option_kinds[8]; // bit n: an option of kind n is there
};

// IPv6: the walk over the extension headers, see ir/match6.h.
struct Walk {
    std::uint32_t protocol; // of the transport header, or protocol_missing
    std::uint32_t offset;   // of the transport header
    std::uint32_t fragment; // not 0: there is a transport header, in another fragment
    std::uint32_t bad;      // not 0: a header is cut off
    std::uint32_t next;     // while walking: the kind of the header at `offset`
    std::uint32_t asked;    // not 0: a rule asked for a protocol
};

inline constexpr std::uint32_t protocol_missing = 0x100;

inline constexpr std::uint32_t scratch_size = 48;

struct Key {
    bpfilter_context names;             // filled by the module (netfilter), unused (xdp)
    std::uint8_t ip[40];                // the fixed part of the IP header; IPv4: 20 bytes
    std::uint32_t length;               // of the packet, from the IP header on
    std::uint32_t verdict;              // the result of a program with chains
    std::uint32_t pc;                   // the rule to go on with
    std::uint32_t depth;                // of the stack
    std::uint32_t counting;             // xdp: this is the second way through the lead
    std::uint32_t unused;               // a multiple of 8
    Transport l4;                       // where it is
    Transport start;                    // IPv6: read from the packet's first byte on
    Walk walk;                          // IPv6
    std::uint8_t scratch[scratch_size]; // bytes of a header; xdp: Ethernet header
    std::uint32_t stack[];              // rules to return to
};

static_assert(sizeof(Transport) % 8 == 0);
static_assert(offsetof(Key, l4) % 8 == 0);
static_assert(sizeof(Key) % 8 == 0);

// The most return addresses: a value of a per-CPU map is at most 32 KiB.
inline constexpr std::uint32_t stack_max = 4096;

} // namespace bpfilter::codegen
