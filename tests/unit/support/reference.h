// SPDX-License-Identifier: GPL-2.0
//
// The model that programs are compared with: ip_tables' way with a packet, as plainly as it
// can be said. It shares no code with the product, reads the packet anew at each question, and
// need not be fast.
#pragma once

#include "bpfilter/context.h"
#include "tests/unit/support/packet.h"
#include "tests/unit/support/table.h"
#include "umh/core/ir/counters.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::test {

struct Devices {
    std::string in;
    std::string out;
    bpfilter_link link = BPFILTER_LINK_OTHER; // Ethernet: from `sender`, see packet.h
    std::uint32_t quirks = 0;                 // of the kernel, see context.h
    std::uint32_t mark = 0;                   // of the packet
    std::uint32_t connection = 0;             // its state, see context.h
    bool operator==(const Devices &) const = default;
};

struct Outcome {
    std::uint32_t verdict = 0;       // enum bpfilter_verdict
    std::vector<ir::RuleId> counted; // in order
    bool operator==(const Outcome &) const = default;
};

// The packet begins with its IP header, which is there.
Outcome judge(const BuiltTable &table, ir::Hook hook, const PacketBytes &packet,
              const Devices &devices);

// The same, added to counters.
std::uint32_t judge_and_count(const BuiltTable &table, ir::Hook hook, const PacketBytes &packet,
                              const Devices &devices, std::vector<ir::Counters> &counters);

} // namespace bpfilter::test
