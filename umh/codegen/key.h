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
#include "umh/core/ir/part.h"

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
    std::uint32_t mobility;        // HeaderState of a 6-byte header
    std::uint32_t options;         // HeaderState of the TCP options: never absent
    std::uint32_t pair;            // HeaderState of 4 bytes
    std::uint32_t sctp;            // HeaderState of 12 bytes
    std::uint32_t unused;          // a multiple of 8
    std::uint32_t option_kinds[8]; // bit n: an option of kind n is there
};

// IPv6: the headers that the walk steps over.
enum ExtensionHeader : std::uint8_t { hop, routing, fragment, authentication, destination };
inline constexpr std::size_t extension_header_count = 5;

// IPv6: the walk over the extension headers, see umh/core/ir/parse6.cpp.
struct Walk {
    std::uint32_t protocol; // of the transport header, or protocol_missing
    std::uint32_t offset;   // of the transport header
    std::uint32_t fragment; // not 0: there is a transport header, in another fragment
    std::uint32_t bad;      // not 0: a header is cut off
    std::uint32_t next;     // while walking: the kind of the header at `offset`
    std::uint32_t place[extension_header_count]; // of the first of each; 0: there is none
};

// IPv6: the first extension header of a kind.
struct Header {
    std::uint32_t state;  // HeaderState
    std::uint32_t length; // in bytes
    std::uint8_t bytes[16];
};

// The first options in it.
inline constexpr std::uint32_t option_list_max = 16;
struct OptionList {
    std::uint32_t count;
    std::uint32_t place; // while reading: of the next option
    std::uint32_t left;  // and how many bytes the header has from there on
    std::uint32_t unused;
    struct {
        std::uint8_t type;
        std::uint8_t length;
    } options[option_list_max];
};

// IPv6: what the field header_set asks, with a walk of its own.
struct HeaderSet {
    std::uint32_t set; // bits of umh/core/ir/header_set.h
    std::uint32_t offset;
    std::uint32_t next;
    std::uint32_t unused;
};
inline constexpr std::uint32_t protocol_missing = 0x100;

inline constexpr std::uint32_t scratch_size = 48;

struct Key {
    bpfilter_context names; // filled by the module (netfilter), unused (xdp)
    std::uint8_t ip[40];    // the fixed part of the IP header; IPv4: 20 bytes
    std::uint32_t length;   // of the packet, from the IP header on
    std::uint32_t verdict;  // the result of a program with chains
    std::uint32_t pc;       // the rule to go on with
    std::uint32_t depth;    // of the stack
    std::uint32_t counting; // xdp: this is the second way through the lead
    std::uint32_t unused;   // a multiple of 8
    Transport l4;           // where it is
    Walk walk;              // IPv6, as all to the scratch
    Header header[extension_header_count];
    OptionList hop_options;
    OptionList destination_options;
    HeaderSet headers;
    std::uint32_t eui64;                // HeaderState of the sender's address in the source address
    std::uint32_t mark;                 // of the packet
    std::uint8_t scratch[scratch_size]; // bytes of a header; xdp: Ethernet header
    std::uint32_t stack[];              // rules to return to, but see stack_offset()
};

// IPv6: the addresses of a routing header, as many as it can have. They are where the stack
// begins, if any rule asks for them; the stack is behind them then.
inline constexpr std::uint32_t route_size = 127 * 16;
inline constexpr std::size_t route_offset = sizeof(Key);

// Where the stack is in the key of programs that ask for these parts.
inline std::int32_t stack_offset(ir::Parts parts)
{
    return static_cast<std::int32_t>(sizeof(Key) + (parts.has(ir::Part::route) ? route_size : 0));
}

static_assert(sizeof(Transport) % 8 == 0);
static_assert(offsetof(Key, l4) % 8 == 0);
static_assert(sizeof(Key) % 8 == 0);

// The most return addresses: a value of a per-CPU map is at most 32 KiB.
inline constexpr std::uint32_t stack_max = 4095; // as many as an element has (bpf/element.h)

} // namespace bpfilter::codegen
