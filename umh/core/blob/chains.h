// SPDX-License-Identifier: GPL-2.0
//
// Chains: which rule belongs to which chain. For names and listings only: control flow
// never asks.
//
// A chain begins at the entry of a hook or at a target ERROR, and ends before the next
// begins. A hand-made table may have rules before the first chain: they belong to none.
#pragma once

#include "umh/core/blob/entry.h"
#include "umh/core/blob/reach.h"
#include "umh/core/blob/request.h"
#include "umh/core/ir/table.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::blob {

struct Chains {
    static constexpr std::uint32_t none = 0xffffffff;

    std::vector<ir::Chain> list;
    std::vector<std::uint32_t> of_rule; // index in list, or none

    // "INPUT:3", numbered as iptables does; the ERROR node of a user chain is 0.
    std::string rule_name(ir::RuleId id) const;
    // What stands behind -j for a jump to this rule: "c1".
    std::string target_name(ir::RuleId id) const;
};

Chains find_chains(const Request &request, const Entries &entries, const HookTable &hooks);

// The rule as `iptables -S` prints it; "-P INPUT ACCEPT" for policies, "-N c1" for ERROR
// nodes. The text that `rule` has so far is that of its matches, and of a target that is not
// standard.
std::string rule_text(const Entry &entry, const ir::Rule &rule, const Chains &chains, bool policy);

} // namespace bpfilter::blob
