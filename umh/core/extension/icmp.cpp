// SPDX-License-Identifier: GPL-2.0
//
// -m icmp: type and code.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/in.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

constexpr std::uint8_t any_type = 0xff;

Result<ir::Match> decode_icmp(Bytes payload)
{
    const auto icmp = load<ipt_icmp>(payload, 0);
    if (icmp.invflags & ~IPT_ICMP_INV)
        return fail(EINVAL, "match icmp: unknown inversion flags");
    return ir::Icmp{
        .type = icmp.type,
        .code_min = icmp.code[0],
        .code_max = icmp.code[1],
        .invert = (icmp.invflags & IPT_ICMP_INV) != 0,
    };
}

std::string icmp_text(Bytes payload)
{
    const auto icmp = load<ipt_icmp>(payload, 0);
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
    decode_icmp,
    icmp_text,
};

} // namespace bpfilter::extension
