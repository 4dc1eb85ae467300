// SPDX-License-Identifier: GPL-2.0
//
// What a rule asks of a packet, as tests say it: plain values, one type per question. The
// reference (reference.h) answers them by looking at the packet; programs have them lowered
// (lower.h). Addresses are in network byte order, numbers in host order.
//
// Semantics are those of ip_tables, given beside each type. Three outcomes exist: the
// packet matches, it does not, or it is dropped on the spot ("hotdrop": the header that
// was asked about is not there); the rule is then not counted.
//
// Where IPv6 has its transport header is told in match6.h.
#pragma once

#include "tests/unit/support/match6.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

namespace bpfilter::test {

// ((address & mask) == value) != invert. IPv4: a value with bits outside the mask equals nothing.
struct SourceAddress {
    Address value{};
    Address mask{};
    bool invert = false;
    bool operator==(const SourceAddress &) const = default;
};

struct DestinationAddress {
    Address value{};
    Address mask{};
    bool invert = false;
    bool operator==(const DestinationAddress &) const = default;
};

// All 16 bytes of the name under the mask: "eth+" has a mask of three bytes, "eth0" one of
// five (its NUL is compared). No device at this hook: a name of zeros.
using InterfaceName = std::array<char, 16>;

struct InInterface {
    InterfaceName name{};
    InterfaceName mask{};
    bool invert = false;
    bool operator==(const InInterface &) const = default;
};

struct OutInterface {
    InterfaceName name{};
    InterfaceName mask{};
    bool invert = false;
    bool operator==(const OutInterface &) const = default;
};

// (protocol == value) != invert. A value over 255 never equals. IPv4: the header's field.
// IPv6: that of the transport header; one that is missing: hotdrop. Value 0 matches all
// others, inverted or not.
struct Protocol {
    std::uint16_t value = 0;
    bool invert = false;
    bool operator==(const Protocol &) const = default;
};

// -f, IPv4: not the first fragment (fragment offset != 0), != invert.
struct Fragment {
    bool invert = false;
    bool operator==(const Fragment &) const = default;
};

// Never matches: what a hand-made rule can say and iptables cannot.
struct Never {
    bool operator==(const Never &) const = default;
};

// (min <= port <= max) != invert
struct PortRange {
    std::uint16_t min = 0;
    std::uint16_t max = 0xffff;
    bool invert = false;
    bool operator==(const PortRange &) const = default;
};

// Fragment offset 1 (IPv4): hotdrop. Other fragments: no match. Fewer than 20 bytes: hotdrop.
// Then, in order: ports; ((byte 13 & flags_mask) == flags_value) != flags_invert; and if
// option is not 0: data offset < 5 words, or header longer than the packet: hotdrop, else
// (some option has that kind) != option_invert.
struct Tcp {
    PortRange source;
    PortRange destination;
    std::uint8_t flags_mask = 0;
    std::uint8_t flags_value = 0;
    bool flags_invert = false;
    std::uint8_t option = 0;
    bool option_invert = false;
    bool operator==(const Tcp &) const = default;
};

// Fragments: no match. Fewer than 8 bytes: hotdrop.
struct Udp {
    PortRange source;
    PortRange destination;
    bool operator==(const Udp &) const = default;
};

// Fragments: no match. Fewer than 8 bytes: hotdrop.
// (type == 0xff || (packet type == type && code_min <= packet code <= code_max)) != invert
struct Icmp {
    std::uint8_t type = 0xff;
    std::uint8_t code_min = 0;
    std::uint8_t code_max = 0xff;
    bool invert = false;
    bool operator==(const Icmp &) const = default;
};

// Fragments: no match. Fewer than 4 bytes: hotdrop. (one of them has the port) != invert
struct Multiport {
    enum class Of : std::uint8_t { source, destination, either };
    Of of = Of::destination;
    std::vector<PortRange> list; // none of which is inverted
    bool invert = false;
    bool operator==(const Multiport &) const = default;
};

// Fragments: no match. Fewer than 12 bytes: hotdrop.
struct Sctp {
    PortRange source;
    PortRange destination;
    bool operator==(const Sctp &) const = default;
};

// Fragments: no match. Fewer than 8 bytes: hotdrop. By the first four.
struct Esp {
    NumberRange spi;
    bool operator==(const Esp &) const = default;
};

// IPv4's. Fragments: no match. Fewer than 12 bytes: hotdrop. By the second four.
struct Ah {
    NumberRange spi;
    bool operator==(const Ah &) const = default;
};

using Match =
    std::variant<SourceAddress, DestinationAddress, InInterface, OutInterface, Protocol, Fragment,
                 Never, Tcp, Udp, Icmp, Icmp6, Mobility, HopLimit, HeaderSet, FragmentHeader,
                 Authentication, Options, Routing, Eui64, Multiport, Sctp, Esp, Ah>;

} // namespace bpfilter::test
