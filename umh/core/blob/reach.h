// SPDX-License-Identifier: GPL-2.0
//
// Reach: from which hooks a rule can be reached, and that no packet can go round in circles.
#pragma once

#include "umh/core/blob/entry.h"
#include "umh/core/blob/request.h"
#include "umh/core/ir/table.h"
#include "umh/util/result.h"

#include <array>
#include <cstdint>
#include <vector>

namespace bpfilter::blob {

// A hook's first rule and its policy, as ids.
struct HookRules {
    ir::RuleId entry = 0;
    ir::RuleId underflow = 0;
};
using HookTable = std::array<HookRules, ir::hook_count>; // of valid hooks only

// Step 3 of translate_table (xt_check_table_hooks): every valid hook begins and ends at an
// entry, and both ascend from hook to hook. EINVAL.
Result<HookTable> check_hooks(const Request &request, const Entries &entries);

// Step 4 (mark_source_chains): per rule the mask of hooks that reach it, which is what a
// listing shows as `comefrom`. Follows every jump from every hook once; what has been
// visited from a hook counts as a return, so the time is linear in rules and hooks.
// ELOOP: a loop, a jump to where no rule begins, or a chain that falls off the end of the
// table. Rules that no hook reaches are not looked at.
Result<std::vector<std::uint32_t>> mark_reach(const Request &request, const Entries &entries,
                                              const HookTable &hooks);

} // namespace bpfilter::blob
