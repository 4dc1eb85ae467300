// SPDX-License-Identifier: GPL-2.0
//
// -m icmp: type and code.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter_ipv4/ip_tables.h>

namespace bpfilter::extension {

namespace {

constexpr std::uint8_t any_type = 0xff;

std::string wrong_icmp(const ipt_icmp &icmp)
{
    return icmp.invflags & ~IPT_ICMP_INV ? "unknown inversion flags" : "";
}

// Type and code are two bytes in a row.
ir::Conditions lower_icmp(const ipt_icmp &icmp)
{
    const bool invert = (icmp.invflags & IPT_ICMP_INV) != 0;
    ir::Conditions conditions{ir::Require{ir::Field::ports}};
    if (icmp.type == any_type)
        ask_range(conditions, ir::Field::source_port, 0, 0xffff, invert);
    else
        ask_range(conditions, ir::Field::source_port, icmp.type << 8 | icmp.code[0],
                  icmp.type << 8 | icmp.code[1], invert);
    return conditions;
}

std::string icmp_text(const ipt_icmp &icmp)
{
    std::string value = "any";
    if (icmp.type != any_type) {
        value = std::to_string(icmp.type);
        if (icmp.code[0] != 0 || icmp.code[1] != 0xff)
            value += "/" + std::to_string(icmp.code[0]);
    }
    return option_text("--icmp-type", icmp.invflags & IPT_ICMP_INV, value);
}

} // namespace

constexpr MatchExtension icmp_match{
    {.name = "icmp",
     .family = ir::Family::ipv4,
     .size = sizeof(ipt_icmp),
     .protocol = IPPROTO_ICMP},
    reader<wrong_icmp, lower_icmp, icmp_text>,
};

} // namespace bpfilter::extension
