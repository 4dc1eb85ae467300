// SPDX-License-Identifier: GPL-2.0
//
// IR: what a rule has counted. The same 16 bytes as struct xt_counters, and as the values
// of the counter maps.
#pragma once

#include <cstdint>

namespace bpfilter::ir {

struct Counters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;

    // Wraps around, as ip_tables does: iptables subtracts by adding.
    Counters &operator+=(const Counters &other)
    {
        packets += other.packets;
        bytes += other.bytes;
        return *this;
    }
    bool operator==(const Counters &) const = default;
};

static_assert(sizeof(Counters) == 16);

} // namespace bpfilter::ir
