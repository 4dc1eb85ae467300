// SPDX-License-Identifier: GPL-2.0
//
// codegen: which rules a packet can come to from a hook, and by which ways.
#pragma once

#include "umh/core/ir/table.h"

#include <vector>

namespace bpfilter::codegen {

struct Flow {
    std::vector<ir::RuleId> rules;   // that can be reached, ascending
    std::vector<ir::RuleId> entries; // of these, where something jumps to or returns to; ascending
    bool jumps = false;              // some rule goes elsewhere than to the next
};

// Errs on the side of more: a rule that is listed need not be reachable.
Flow find_flow(const ir::Table &table, ir::Hook hook);

// The most return addresses that a packet can need at once, whatever hook it comes from; at most
// Table::stack_depth, where it is dropped.
std::uint32_t stack_need(const ir::Table &table);

} // namespace bpfilter::codegen
