// SPDX-License-Identifier: GPL-2.0
//
// -m icmp6: type and code.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv6/ip6_tables.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_icmp6(Bytes payload)
{
    const auto icmp = load<ip6t_icmp>(payload, 0);
    if (icmp.invflags & ~IP6T_ICMP_INV)
        return fail(EINVAL, "match icmp6: unknown inversion flags");
    return ir::Icmp6{
        .type = icmp.type,
        .code_min = icmp.code[0],
        .code_max = icmp.code[1],
        .invert = (icmp.invflags & IP6T_ICMP_INV) != 0,
    };
}

std::string icmp6_text(Bytes payload)
{
    const auto icmp = load<ip6t_icmp>(payload, 0);
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
    decode_icmp6,
    icmp6_text,
};

} // namespace bpfilter::extension
