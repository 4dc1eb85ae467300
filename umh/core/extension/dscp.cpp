// SPDX-License-Identifier: GPL-2.0
//
// -m dscp and -m tos: xt_dscp. The byte is IPv4's type of service, or IPv6's traffic class.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <fmt/format.h>
#include <linux/netfilter/xt_dscp.h>

namespace bpfilter::extension {

namespace {

// EDOM, as the kernel has it.
Result<Meaning> read_dscp(Bytes payload)
{
    const auto info = load<xt_dscp_info>(payload, 0);
    if (info.dscp > XT_DSCP_MAX)
        return fail(EDOM, fmt::format("no such class: {}", info.dscp));
    const auto first = static_cast<std::uint32_t>(info.dscp) << XT_DSCP_SHIFT;
    Meaning meaning{{},
                    option_text("--dscp", info.invert != 0, fmt::format("0x{:02x}", info.dscp))};
    ask_range(meaning.conditions, ir::Field::tos, first, first | ((1U << XT_DSCP_SHIFT) - 1),
              info.invert != 0);
    return meaning;
}

std::string wrong_tos(const xt_tos_match_info & /*info*/)
{
    return {};
}

ir::Conditions lower_tos(const xt_tos_match_info &info)
{
    ir::Conditions conditions;
    ask_masked(conditions, ir::Field::tos, info.tos_mask, info.tos_value, info.invert != 0);
    return conditions;
}

std::string tos_text(const xt_tos_match_info &info)
{
    return option_text("--tos", info.invert != 0,
                       fmt::format("0x{:02x}/0x{:02x}", info.tos_value, info.tos_mask));
}

} // namespace

constexpr MatchExtension dscp_match{
    {.name = "dscp", .size = sizeof(xt_dscp_info)},
    read_dscp,
};

constexpr MatchExtension tos_match{
    {.name = "tos", .revision = 1, .size = sizeof(xt_tos_match_info)},
    reader<wrong_tos, lower_tos, tos_text>,
};

} // namespace bpfilter::extension
