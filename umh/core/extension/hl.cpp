// SPDX-License-Identifier: GPL-2.0
//
// -m hl: the hop limit.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/netfilter_ipv6/ip6t_hl.h>

#include <array>
#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_hl(Bytes payload)
{
    const auto hl = load<ip6t_hl_info>(payload, 0);
    if (hl.mode > IP6T_HL_GT)
        return fail(EINVAL, "match hl: unknown mode " + std::to_string(hl.mode));
    constexpr std::array tests{ir::HopLimit::Test::equal, ir::HopLimit::Test::not_equal,
                               ir::HopLimit::Test::less, ir::HopLimit::Test::greater};
    return ir::HopLimit{tests[hl.mode], hl.hop_limit};
}

std::string hl_text(Bytes payload)
{
    const auto hl = load<ip6t_hl_info>(payload, 0);
    constexpr std::array options{"--hl-eq", "--hl-eq", "--hl-lt", "--hl-gt"};
    return option_text(options.at(hl.mode), hl.mode == IP6T_HL_NE, std::to_string(hl.hop_limit));
}

} // namespace

constexpr MatchExtension hl_match{
    {.name = "hl", .family = ir::Family::ipv6, .size = sizeof(ip6t_hl_info)},
    decode_hl,
    hl_text,
};

} // namespace bpfilter::extension
