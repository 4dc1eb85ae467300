// SPDX-License-Identifier: GPL-2.0
//
// -m length: of the packet from the IP header on.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter/xt_length.h>

namespace bpfilter::extension {

namespace {

std::string wrong(const xt_length_info & /*info*/)
{
    return {};
}

// The kernel's is (min <= length <= max) ^ invert, as numbers: more than 1 always holds.
ir::Conditions lower(const xt_length_info &info)
{
    ir::Conditions conditions;
    if (info.invert <= 1)
        ask_range(conditions, ir::Field::total_length, info.min, info.max, info.invert != 0);
    return conditions;
}

std::string text(const xt_length_info &info)
{
    return range_text("--length", info.min, info.max, info.invert != 0);
}

} // namespace

constexpr MatchExtension length_match{
    {.name = "length", .size = sizeof(xt_length_info)},
    reader<wrong, lower, text>,
};

} // namespace bpfilter::extension
