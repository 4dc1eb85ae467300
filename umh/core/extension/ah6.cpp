// SPDX-License-Identifier: GPL-2.0
//
// -m ah of IPv6: the authentication header.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/netfilter_ipv6/ip6t_ah.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_ah(Bytes payload)
{
    const auto ah = load<ip6t_ah>(payload, 0);
    if (ah.invflags & ~IP6T_AH_INV_MASK)
        return fail(EINVAL, "match ah: unknown inversion flags");
    ir::Authentication match{
        .spi = {ah.spis[0], ah.spis[1], (ah.invflags & IP6T_AH_INV_SPI) != 0},
        .length = std::nullopt,
        .reserved = ah.hdrres != 0,
    };
    if (ah.hdrlen != 0)
        match.length = ir::Number{ah.hdrlen, (ah.invflags & IP6T_AH_INV_LEN) != 0};
    return match;
}

std::string ah_text(Bytes payload)
{
    const auto ah = load<ip6t_ah>(payload, 0);
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
    decode_ah,
    ah_text,
};

} // namespace bpfilter::extension
