// SPDX-License-Identifier: GPL-2.0
//
// -m icmp6: type and code.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv6/ip6_tables.h>

namespace bpfilter::extension {

namespace {

std::string wrong_icmp6(const ip6t_icmp &icmp)
{
    return icmp.invflags & ~IP6T_ICMP_INV ? "unknown inversion flags" : "";
}

// Type and code are two bytes in a row. No type is "any".
ir::Conditions lower_icmp6(const ip6t_icmp &icmp)
{
    ir::Conditions conditions{ir::Require{ir::Field::ports}};
    ask_range(conditions, ir::Field::source_port, icmp.type << 8 | icmp.code[0],
              icmp.type << 8 | icmp.code[1], (icmp.invflags & IP6T_ICMP_INV) != 0);
    return conditions;
}

std::string icmp6_text(const ip6t_icmp &icmp)
{
    std::string value = std::to_string(icmp.type);
    if (icmp.code[0] != 0 || icmp.code[1] != 0xff)
        value += "/" + std::to_string(icmp.code[0]);
    return option_text("--icmpv6-type", icmp.invflags & IP6T_ICMP_INV, value);
}

} // namespace

constexpr MatchExtension icmp6_match{
    {.name = "icmp6",
     .family = ir::Family::ipv6,
     .size = sizeof(ip6t_icmp),
     .protocol = IPPROTO_ICMPV6},
    reader<wrong_icmp6, lower_icmp6, icmp6_text>,
};

} // namespace bpfilter::extension
