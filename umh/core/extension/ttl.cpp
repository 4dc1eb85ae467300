// SPDX-License-Identifier: GPL-2.0
//
// -m ttl and -m hl: xt_hl. IPv4's time to live, IPv6's hop limit.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv4/ipt_ttl.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>

#include <array>
#include <string>

namespace bpfilter::extension {

namespace {

struct Ttl {
    std::uint8_t mode = 0;
    std::uint8_t value = 0;
};

// What both have.
static_assert(int{IPT_TTL_EQ} == IP6T_HL_EQ && int{IPT_TTL_NE} == IP6T_HL_NE &&
              int{IPT_TTL_LT} == IP6T_HL_LT && int{IPT_TTL_GT} == IP6T_HL_GT);

Ttl read(const ipt_ttl_info &info)
{
    return {info.mode, info.ttl};
}

Ttl read(const ip6t_hl_info &info)
{
    return {info.mode, info.hop_limit};
}

template <typename Info> std::string wrong(const Info &info)
{
    return info.mode > IPT_TTL_GT ? "unknown mode " + std::to_string(info.mode) : "";
}

template <typename Info> ir::Conditions lower(const Info &info)
{
    const Ttl ttl = read(info);
    ir::Conditions conditions;
    switch (ttl.mode) {
    case IPT_TTL_LT: // not at least this
        ask_range(conditions, ir::Field::ttl, ttl.value, 0xff, true);
        break;
    case IPT_TTL_GT:
        ask_range(conditions, ir::Field::ttl, 0, ttl.value, true);
        break;
    default:
        ask_number(conditions, ir::Field::ttl, ttl.value, ttl.mode == IPT_TTL_NE);
    }
    return conditions;
}

std::string text(const std::string &name, const Ttl &ttl)
{
    constexpr std::array kinds{"-eq", "-eq", "-lt", "-gt"};
    return option_text("--" + name + kinds.at(ttl.mode), ttl.mode == IPT_TTL_NE,
                       std::to_string(ttl.value));
}

std::string ttl_text(const ipt_ttl_info &info)
{
    return text("ttl", read(info));
}

std::string hl_text(const ip6t_hl_info &info)
{
    return text("hl", read(info));
}

// Some kernels refuse an unknown mode, others let it match nothing.
template <typename Info> bool is_left(Bytes payload)
{
    return load<Info>(payload, 0).mode > IPT_TTL_GT;
}

} // namespace

constexpr MatchExtension ttl_match{
    {.name = "ttl", .family = ir::Family::ipv4, .size = sizeof(ipt_ttl_info)},
    reader<wrong<ipt_ttl_info>, lower<ipt_ttl_info>, ttl_text>,
    is_left<ipt_ttl_info>,
};

constexpr MatchExtension hl_match{
    {.name = "hl", .family = ir::Family::ipv6, .size = sizeof(ip6t_hl_info)},
    reader<wrong<ip6t_hl_info>, lower<ip6t_hl_info>, hl_text>,
    is_left<ip6t_hl_info>,
};

} // namespace bpfilter::extension
