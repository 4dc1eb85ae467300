// SPDX-License-Identifier: GPL-2.0
//
// -m mark and -j MARK: xt_mark.
#include "umh/core/extension/list.h"

#include "umh/core/ir/lower.h"

#include <fmt/format.h>
#include <linux/netfilter/xt_mark.h>

#include <string>

namespace bpfilter::extension {

namespace {

constexpr std::uint32_t whole_mask = 0xffffffff;

std::string wrong(const xt_mark_mtinfo1 & /*info*/)
{
    return {};
}

// The kernel's is (mark & mask == value) ^ invert, as numbers: more than 1 always holds.
ir::Conditions lower(const xt_mark_mtinfo1 &info)
{
    ir::Conditions conditions;
    if (info.invert <= 1)
        ask_masked(conditions, ir::Field::mark, info.mask, info.mark, info.invert != 0);
    return conditions;
}

std::string text(const xt_mark_mtinfo1 &info)
{
    const char *option = info.invert != 0 ? " ! --mark" : " --mark";
    if (info.mask == whole_mask)
        return fmt::format("{} {:#x}", option, info.mark);
    return fmt::format("{} {:#x}/{:#x}", option, info.mark, info.mask);
}

Result<TargetMeaning> read_target(const TargetUse &use)
{
    const auto info = load<xt_mark_tginfo2>(use.payload, 0);
    return TargetMeaning{
        ir::SetField{.field = ir::Field::mark, .keep = ~info.mask, .flip = info.mark},
        fmt::format(" --set-xmark {:#x}/{:#x}", info.mark, info.mask)};
}

} // namespace

constexpr MatchExtension mark_match{
    {.name = "mark", .revision = 1, .size = sizeof(xt_mark_mtinfo1)},
    reader<wrong, lower, text>,
};

constexpr TargetExtension MARK_target{
    {.name = "MARK", .revision = 2, .size = sizeof(xt_mark_tginfo2)},
    read_target,
};

} // namespace bpfilter::extension
