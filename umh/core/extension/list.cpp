// SPDX-License-Identifier: GPL-2.0
#include "umh/core/extension/list.h"

#include <array>

namespace bpfilter::extension {

std::span<const MatchExtension *const> all_matches()
{
    static const auto rows = std::to_array<const MatchExtension *>({
#define BPFILTER_MATCH(name) &name##_match,
#define BPFILTER_TARGET(name)
#include "umh/core/extension/list.def"
#undef BPFILTER_MATCH
#undef BPFILTER_TARGET
    });
    return rows;
}

std::span<const TargetExtension *const> all_targets()
{
    static const auto rows = std::to_array<const TargetExtension *>({
#define BPFILTER_MATCH(name)
#define BPFILTER_TARGET(name) &name##_target,
#include "umh/core/extension/list.def"
#undef BPFILTER_MATCH
#undef BPFILTER_TARGET
    });
    return rows;
}

} // namespace bpfilter::extension
