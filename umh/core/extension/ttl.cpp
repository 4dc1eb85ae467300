// SPDX-License-Identifier: GPL-2.0
//
// -m ttl: IPv4's time to live.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv4/ipt_ttl.h>

#include <array>

namespace bpfilter::extension {

namespace {

std::string wrong(const ipt_ttl_info &info)
{
    return info.mode > IPT_TTL_GT ? "unknown mode " + std::to_string(info.mode) : "";
}

ir::Conditions lower(const ipt_ttl_info &info)
{
    ir::Conditions conditions;
    switch (info.mode) {
    case IPT_TTL_LT: // not at least this
        ask_range(conditions, ir::Field::ttl, info.ttl, 0xff, true);
        break;
    case IPT_TTL_GT:
        ask_range(conditions, ir::Field::ttl, 0, info.ttl, true);
        break;
    default:
        ask_number(conditions, ir::Field::ttl, info.ttl, info.mode == IPT_TTL_NE);
    }
    return conditions;
}

std::string text(const ipt_ttl_info &info)
{
    constexpr std::array options{"--ttl-eq", "--ttl-eq", "--ttl-lt", "--ttl-gt"};
    return option_text(options.at(info.mode), info.mode == IPT_TTL_NE, std::to_string(info.ttl));
}

// Some kernels refuse an unknown mode, others let it match nothing.
bool is_left(Bytes payload)
{
    return load<ipt_ttl_info>(payload, 0).mode > IPT_TTL_GT;
}

} // namespace

constexpr MatchExtension ttl_match{
    {.name = "ttl", .family = ir::Family::ipv4, .size = sizeof(ipt_ttl_info)},
    reader<wrong, lower, text>,
    is_left,
};

} // namespace bpfilter::extension
