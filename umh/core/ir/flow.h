// SPDX-License-Identifier: GPL-2.0
//
// IR: which rules a packet can come to from a hook, and by which ways.
#pragma once

#include "umh/core/ir/table.h"

#include <cstdint>
#include <vector>

namespace bpfilter::ir {

struct Flow {
    std::vector<RuleId> rules;   // that can be reached, ascending
    std::vector<RuleId> entries; // of these, where something jumps to or returns to; ascending
    bool jumps = false;          // some rule goes elsewhere than to the next
};

// Errs on the side of more: a rule that is listed need not be reachable.
Flow find_flow(const Table &table, Hook hook);

// The most return addresses that a packet can need at once, whatever hook it comes from; at most
// Table::stack_depth, where it is dropped.
std::uint32_t stack_need(const Table &table);

} // namespace bpfilter::ir
