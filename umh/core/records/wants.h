// SPDX-License-Identifier: GPL-2.0
//
// records: what the rules of a hook want to know of a packet.
#pragma once

#include "umh/core/ir/condition.h"
#include "umh/core/ir/part.h"
#include "umh/core/ir/table.h"

#include <array>
#include <cstdint>
#include <optional>

namespace bpfilter::records {

struct Wants {
    ir::Parts parts;       // complete
    std::uint32_t odd = 0; // enum bpfilter_odd: for what they drop packets, if it is cut off
};

// Of each hook; those that the table does not have want nothing.
using HookWants = std::array<Wants, ir::hook_count>;

HookWants wants_of(const ir::Table &table);

// The protocol that this condition asks for, if it asks for one.
std::optional<std::uint32_t> asked_protocol(const ir::Condition &condition);

// What a state may be asked by as well on the usual way, where nothing is cut off that its rule
// wants to know of: what the matches of most protocols ask, so that it becomes one range with the
// protocol and the ports. `protocol`: that the rule asks for before it, if it does.
ir::Field usual_state(ir::Field state, std::optional<std::uint32_t> protocol);

} // namespace bpfilter::records
