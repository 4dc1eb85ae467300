// SPDX-License-Identifier: GPL-2.0
//
// Rules: step 5 of translate_table, entry by entry: every match, then the target, must be
// an extension that is known, used as it wants to be used.
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

struct Rules {
    std::vector<ir::Rule> list; // their texts: those of their matches
    Uses uses;
};

// `known`: the uses, if they were found before. ENOENT: an extension is not supported; EINVAL:
// one is used wrongly.
Result<Rules> decode_rules(const RuleContext &context, const Uses *known);

} // namespace bpfilter::blob
