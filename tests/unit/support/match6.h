// SPDX-License-Identifier: GPL-2.0
//
// What only a rule for IPv6 asks. Part of match.h, which see.
// The walk over the extension headers is told in umh/core/ir/parse6.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace bpfilter::test {

// In network byte order. IPv4 uses the first four bytes.
using Address = std::array<std::byte, 16>;

// (min <= number <= max) != invert
struct NumberRange {
    std::uint32_t min = 0;
    std::uint32_t max = 0xffffffff;
    bool invert = false;
    bool operator==(const NumberRange &) const = default;
};

// (number == value) != invert
struct Number {
    std::uint32_t value = 0;
    bool invert = false;
    bool operator==(const Number &) const = default;
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

// Fragments: no match. Fewer than 6 bytes, or a first byte (the payload's protocol) that is
// not 59: hotdrop. Else by the type, the third byte.
struct Mobility {
    NumberRange type = {};
    bool operator==(const Mobility &) const = default;
};

// Of the IPv6 header.
struct HopLimit {
    enum class Test : std::uint8_t { equal, not_equal, less, greater }; // than the value
    Test test = Test::equal;
    std::uint8_t value = 0;
    bool operator==(const HopLimit &) const = default;
};

// Which headers there are, by a walk of its own: it steps over fragment headers whatever
// their offset, and leaves with the ESP and "no next header" it comes to, noted. Fewer than
// two bytes of a header that is not the last: no match. One that is longer than the packet
// ends the walk, behind what it says is next. What is next is `protocol`, unless it is ESP
// or "no next header".
// Soft: ((headers of the packet ^ headers ^ invert) & headers) == 0.
// Else: (headers of the packet == headers) != (invert is not 0).
struct HeaderSet {
    static constexpr std::uint8_t protocol = 1;
    static constexpr std::uint8_t none = 2;
    static constexpr std::uint8_t esp = 4;
    static constexpr std::uint8_t authentication = 8;
    static constexpr std::uint8_t fragment = 16;
    static constexpr std::uint8_t routing = 32;
    static constexpr std::uint8_t destination = 64;
    static constexpr std::uint8_t hop = 128;

    std::uint8_t headers = 0;
    std::uint8_t invert = 0;
    bool soft = false;
    bool operator==(const HeaderSet &) const = default;
};

// The fragment header. Fewer than 8 bytes: hotdrop. Then by its identification; with
// `reserved`, what is reserved is zero; `first`: its offset is; `more`: more follow; `last`:
// none does.
struct FragmentHeader {
    NumberRange id = {};
    bool reserved = false;
    bool first = false;
    bool more = false;
    bool last = false;
    bool operator==(const FragmentHeader &) const = default;
};

// The authentication header. Fewer than 12 bytes, or less than its length: hotdrop (of the
// latter some kernels do not ask: BPFILTER_QUIRK_AUTHENTICATION). Then by its SPI and its length in
// bytes; with `reserved`, what is reserved is zero.
struct Authentication {
    NumberRange spi = {};
    std::optional<Number> length = {};
    bool reserved = false;
    bool operator==(const Authentication &) const = default;
};

// Hop-by-hop or destination options. Less than its length: hotdrop, or no match
// (BPFILTER_QUIRK_OPTIONS). Then by the header's
// length in bytes, and its first options must be these, in this order. An option of type 0
// is one byte and has no length; of others the length byte must be in the header, and what
// it says before the next option.
struct Options {
    enum class Header : std::uint8_t { hop, destination };
    static constexpr std::uint8_t any_length = 0xff;
    struct Option {
        std::uint8_t type = 0;
        std::uint8_t length = any_length;
        bool operator==(const Option &) const = default;
    };

    Header header = Header::hop;
    std::optional<Number> length = {};
    std::vector<Option> options = {}; // at most 16
    bool operator==(const Options &) const = default;
};

// The routing header. Less than its length: hotdrop, or no match (as above). Then by its type,
// segments left and length in bytes; with `reserved`, the second four bytes are zero. With
// `addresses`, those behind the first eight bytes are: exactly these if `strict`, else these in
// this order with any others before, between and behind.
struct Routing {
    std::optional<Number> type = {};
    NumberRange left = {};
    std::optional<Number> length = {};
    bool reserved = false;
    std::vector<Address> addresses = {}; // at most 16; none: not asked
    bool strict = false;
    bool operator==(const Routing &) const = default;
};

// The lower half of the source address is made of the source of the Ethernet frame: its six
// bytes with ff:fe in the middle and the second bit inverted. No Ethernet device, or another
// EtherType than IPv6: no match. An Ethernet device, but no such header: hotdrop.
struct Eui64 {
    bool operator==(const Eui64 &) const = default;
};

} // namespace bpfilter::test
