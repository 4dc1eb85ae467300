// SPDX-License-Identifier: GPL-2.0
//
// -m hl: the hop limit.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv6/ip6t_hl.h>

#include <array>

namespace bpfilter::extension {

namespace {

std::string wrong_hl(const ip6t_hl_info &hl)
{
    return hl.mode > IP6T_HL_GT ? "unknown mode " + std::to_string(hl.mode) : "";
}

ir::Conditions lower_hl(const ip6t_hl_info &hl)
{
    ir::Conditions conditions;
    switch (hl.mode) {
    case IP6T_HL_LT: // not at least this
        ask_range(conditions, ir::Field::ttl, hl.hop_limit, 0xff, true);
        break;
    case IP6T_HL_GT:
        ask_range(conditions, ir::Field::ttl, 0, hl.hop_limit, true);
        break;
    default:
        ask_number(conditions, ir::Field::ttl, hl.hop_limit, hl.mode == IP6T_HL_NE);
    }
    return conditions;
}

std::string hl_text(const ip6t_hl_info &hl)
{
    constexpr std::array options{"--hl-eq", "--hl-eq", "--hl-lt", "--hl-gt"};
    return option_text(options.at(hl.mode), hl.mode == IP6T_HL_NE, std::to_string(hl.hop_limit));
}

// Some kernels refuse an unknown mode, others let it match nothing.
bool is_left(Bytes payload)
{
    return load<ip6t_hl_info>(payload, 0).mode > IP6T_HL_GT;
}

} // namespace

constexpr MatchExtension hl_match{
    {.name = "hl", .family = ir::Family::ipv6, .size = sizeof(ip6t_hl_info)},
    reader<wrong_hl, lower_hl, hl_text>,
    is_left,
};

} // namespace bpfilter::extension
