// SPDX-License-Identifier: GPL-2.0
//
// -m cpu: which one has the packet.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter/xt_cpu.h>

namespace bpfilter::extension {

namespace {

std::string wrong(const xt_cpu_info &info)
{
    return info.invert > 1 ? "unknown inversion flags" : "";
}

ir::Conditions lower(const xt_cpu_info &info)
{
    ir::Conditions conditions;
    ask_number(conditions, ir::Field::cpu, info.cpu, info.invert != 0);
    return conditions;
}

std::string text(const xt_cpu_info &info)
{
    return option_text("--cpu", info.invert != 0, std::to_string(info.cpu));
}

} // namespace

constexpr MatchExtension cpu_match{
    {.name = "cpu", .size = sizeof(xt_cpu_info)},
    reader<wrong, lower, text>,
};

} // namespace bpfilter::extension
