// SPDX-License-Identifier: GPL-2.0
//
// The standard target, whose name is empty: verdicts and jumps.
#include "umh/core/extension/standard.h"

#include "umh/core/extension/list.h"

#include <algorithm>

namespace bpfilter::extension {

namespace {

ir::Verdict jump(std::uint32_t offset, const TargetUse &use)
{
    const auto found = std::ranges::lower_bound(use.offsets, offset);
    // Only a rule that nothing reaches gets here with an offset that leads nowhere.
    if (found == use.offsets.end() || *found != offset)
        return ir::Drop{};
    const auto target = static_cast<ir::RuleId>(found - use.offsets.begin());
    // To the next rule: what a rule without a target is.
    if (target == use.rule + 1)
        return ir::Continue{};
    return use.go_to ? ir::Verdict(ir::Goto{target}) : ir::Verdict(ir::Jump{target});
}

ir::Verdict verdict_of(const TargetUse &use)
{
    const auto verdict = load<std::int32_t>(use.payload, 0);
    if (is_jump(verdict))
        return jump(static_cast<std::uint32_t>(verdict), use);
    switch (verdict) {
    case verdict_accept:
        return ir::Accept{};
    case verdict_queue:
        return ir::Queue{};
    case verdict_return:
        return ir::Return{};
    default:
        return ir::Drop{};
    }
}

Result<TargetMeaning> decode_standard(const TargetUse &use)
{
    return TargetMeaning{verdict_of(use)};
}

} // namespace

constexpr TargetExtension standard_target{
    {.name = "", .size = sizeof(std::int32_t)},
    decode_standard,
};

} // namespace bpfilter::extension
