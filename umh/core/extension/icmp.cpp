// SPDX-License-Identifier: GPL-2.0
//
// -m icmp and -m icmp6: type and code.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <optional>
#include <string>

namespace bpfilter::extension {

namespace {

// What both have.
static_assert(IPT_ICMP_INV == IP6T_ICMP_INV);

// Of ICMPv6 no type is "any".
constexpr std::uint8_t any_type = 0xff;

bool is_any(const ipt_icmp &icmp)
{
    return icmp.type == any_type;
}

bool is_any(const ip6t_icmp & /*icmp*/)
{
    return false;
}

template <typename Info> std::string wrong(const Info &icmp)
{
    return icmp.invflags & ~IPT_ICMP_INV ? "unknown inversion flags" : "";
}

// Type and code are two bytes in a row.
template <typename Info> ir::Conditions lower(const Info &icmp)
{
    const bool invert = (icmp.invflags & IPT_ICMP_INV) != 0;
    ir::Conditions conditions{ir::Require{ir::Field::ports}};
    if (is_any(icmp))
        ask_range(conditions, ir::Field::source_port, 0, 0xffff, invert);
    else
        ask_range(conditions, ir::Field::source_port, icmp.type << 8 | icmp.code[0],
                  icmp.type << 8 | icmp.code[1], invert);
    return conditions;
}

template <typename Info> std::string text(const char *option, const Info &icmp)
{
    std::string value = "any";
    if (!is_any(icmp)) {
        value = std::to_string(icmp.type);
        if (icmp.code[0] != 0 || icmp.code[1] != 0xff)
            value += "/" + std::to_string(icmp.code[0]);
    }
    return option_text(option, (icmp.invflags & IPT_ICMP_INV) != 0, value);
}

std::string icmp_text(const ipt_icmp &icmp)
{
    return text("--icmp-type", icmp);
}

std::string icmp6_text(const ip6t_icmp &icmp)
{
    return text("--icmpv6-type", icmp);
}

} // namespace

constexpr MatchExtension icmp_match{
    {.name = "icmp",
     .family = ir::Family::ipv4,
     .size = sizeof(ipt_icmp),
     .protocol = IPPROTO_ICMP},
    reader<wrong<ipt_icmp>, lower<ipt_icmp>, icmp_text>,
};

constexpr MatchExtension icmp6_match{
    {.name = "icmp6",
     .family = ir::Family::ipv6,
     .size = sizeof(ip6t_icmp),
     .protocol = IPPROTO_ICMPV6},
    reader<wrong<ip6t_icmp>, lower<ip6t_icmp>, icmp6_text>,
};

} // namespace bpfilter::extension
