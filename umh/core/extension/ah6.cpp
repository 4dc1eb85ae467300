// SPDX-License-Identifier: GPL-2.0
//
// -m ah of IPv6: the authentication header.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter_ipv6/ip6t_ah.h>

namespace bpfilter::extension {

namespace {

std::string wrong_ah(const ip6t_ah &ah)
{
    return ah.invflags & ~IP6T_AH_INV_MASK ? "unknown inversion flags" : "";
}

ir::Conditions lower_ah(const ip6t_ah &ah)
{
    ir::Conditions conditions{ir::Require{ir::Field::ah}};
    ask_range(conditions, ir::Field::ah_spi, ah.spis[0], ah.spis[1],
              (ah.invflags & IP6T_AH_INV_SPI) != 0);
    if (ah.hdrlen != 0)
        ask_number(conditions, ir::Field::ah_length, ah.hdrlen,
                   (ah.invflags & IP6T_AH_INV_LEN) != 0);
    if (ah.hdrres != 0)
        ask_number(conditions, ir::Field::ah_reserved, 0);
    return conditions;
}

std::string ah_text(const ip6t_ah &ah)
{
    std::string text;
    if (ah.spis[0] != 0 || ah.spis[1] != 0xffffffff)
        text = range_text("--ahspi", ah.spis[0], ah.spis[1], ah.invflags & IP6T_AH_INV_SPI);
    if (ah.hdrlen != 0)
        text += option_text("--ahlen", ah.invflags & IP6T_AH_INV_LEN, std::to_string(ah.hdrlen));
    if (ah.hdrres != 0)
        text += " --ahres";
    return text;
}

} // namespace

constexpr MatchExtension ah6_match{
    {.name = "ah", .family = ir::Family::ipv6, .size = sizeof(ip6t_ah)},
    reader<wrong_ah, lower_ah, ah_text>,
};

} // namespace bpfilter::extension
