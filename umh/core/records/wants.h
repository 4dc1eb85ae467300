// SPDX-License-Identifier: GPL-2.0
//
// records: what the rules of a hook want to know of a packet.
#pragma once

#include "umh/core/ir/part.h"
#include "umh/core/ir/table.h"

#include <array>
#include <cstdint>

namespace bpfilter::records {

struct Wants {
    ir::Parts parts;       // complete
    std::uint32_t odd = 0; // enum bpfilter_odd: for what they drop packets, if it is cut off
};

// Of each hook; those that the table does not have want nothing.
using HookWants = std::array<Wants, ir::hook_count>;

HookWants wants_of(const ir::Table &table);

} // namespace bpfilter::records
