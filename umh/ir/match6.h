// SPDX-License-Identifier: GPL-2.0
//
// IR: what only a rule for IPv6 asks. Part of match.h, which see.
//
// THE WALK over the extension headers, of which there are hop-by-hop options, routing,
// fragment, authentication and destination options. Of each its first two bytes must be
// there (routing and fragment: four), and all that its length says; a packet where they
// are not is *bad*. The walk ends behind the last of them, or at a fragment header with an
// offset other than 0. Then the transport header is
//   - where the walk ended, unless it was there;
//   - for a later fragment: unknown but for its number, if the fragment header says that
//     none of the five follows; the number "no next header" (59) is as good as any;
//   - else missing.
// A match that asks for one extension header sees the first of its kind, if the walk comes
// to its first bytes; else, if the packet is bad, the packet is dropped; else it does not
// match.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bpfilter::ir {

// A number in a header: (min <= number <= max) != invert.
struct NumberRange {
    std::uint32_t min = 0;
    std::uint32_t max = 0xffffffff;
    bool invert = false;
    bool operator==(const NumberRange &) const = default;
};

// The length of a header in bytes: (length == value) != invert.
struct HeaderLength {
    std::uint32_t value = 0;
    bool invert = false;
    bool operator==(const HeaderLength &) const = default;
};

// Fragments: no match. Fewer than 8 bytes: hotdrop.
// (packet type == type && code_min <= packet code <= code_max) != invert. No type is "any".
struct Icmp6 {
    std::uint8_t type = 0;
    std::uint8_t code_min = 0;
    std::uint8_t code_max = 0xff;
    bool invert = false;
    bool operator==(const Icmp6 &) const = default;
};

} // namespace bpfilter::ir
