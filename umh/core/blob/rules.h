// SPDX-License-Identifier: GPL-2.0
//
// Rules: step 5 of translate_table, entry by entry: every match, then the target, must be
// an extension that is used as it wants to be used. One that is not in our list is the kernel's: it
// checks and runs it, as instance n of the table. All matches and the target of an entry that has
// such a one are checked by the kernel, and count as instances.
#pragma once

#include "umh/core/blob/chains.h"
#include "umh/core/blob/uses.h"
#include "umh/core/ir/table.h"
#include "umh/util/result.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace bpfilter::blob {

// What a rule's extensions are judged by.
struct RuleContext {
    const Layout &layout;
    std::string_view table;
    const Entries &entries;
    std::span<const std::uint32_t> reach;
    const Chains &chains;
};

// An entry that the kernel is to check.
struct KernelEntry {
    std::uint32_t offset = 0; // from the first entry
    std::uint32_t hooks = 0;  // that reach it
    bool operator==(const KernelEntry &) const = default;
};

struct Rules {
    std::vector<ir::Rule> list; // their texts: those of their matches
    Uses uses;
};

// EINVAL: an extension is used wrongly. `checks`: the entries for the kernel, up to the one where
// something is wrong and that one too.
Result<Rules> decode_rules(const RuleContext &context, std::vector<KernelEntry> &checks);

} // namespace bpfilter::blob
