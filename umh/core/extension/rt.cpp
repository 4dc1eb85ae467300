// SPDX-License-Identifier: GPL-2.0
//
// -m rt: the routing header.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv6/ip6t_rt.h>

#include <bit>
#include <cerrno>

namespace bpfilter::extension {

namespace {

const char *wrong_rt(const ip6t_rt &rt)
{
    if (rt.invflags & ~IP6T_RT_INV_MASK)
        return "unknown inversion flags";
    if (rt.addrnr > IP6T_RT_HOPS)
        return "too many addresses";
    if ((rt.flags & IP6T_RT_FST_MASK) && rt.addrnr == 0)
        return "a list of no addresses";
    if ((rt.flags & (IP6T_RT_RES | IP6T_RT_FST_MASK)) &&
        (!(rt.flags & IP6T_RT_TYP) || rt.rt_type != 0 || (rt.invflags & IP6T_RT_INV_TYP)))
        return "--rt-0-res and --rt-0-addrs need --rt-type 0";
    return nullptr;
}

Result<ir::Match> decode_rt(Bytes payload)
{
    const auto rt = load<ip6t_rt>(payload, 0);
    if (const char *why = wrong_rt(rt))
        return fail(EINVAL, std::string("match rt: ") + why);
    ir::Routing match{
        .type = std::nullopt,
        .left = {rt.segsleft[0], rt.segsleft[1], (rt.invflags & IP6T_RT_INV_SGS) != 0},
        .length = std::nullopt,
        .reserved = (rt.flags & IP6T_RT_RES) != 0,
        .addresses = {},
        .strict = !(rt.flags & IP6T_RT_FST_NSTRICT),
    };
    if (rt.flags & IP6T_RT_TYP)
        match.type = ir::Number{rt.rt_type, (rt.invflags & IP6T_RT_INV_TYP) != 0};
    if (rt.flags & IP6T_RT_LEN)
        match.length = ir::Number{rt.hdrlen, (rt.invflags & IP6T_RT_INV_LEN) != 0};
    for (unsigned i = 0; (rt.flags & IP6T_RT_FST) && i < rt.addrnr; ++i)
        match.addresses.push_back(std::bit_cast<ir::Address>(rt.addrs[i]));
    return match;
}

std::string rt_text(Bytes payload)
{
    const auto rt = load<ip6t_rt>(payload, 0);
    std::string text;
    if (rt.flags & IP6T_RT_TYP)
        text = option_text("--rt-type", rt.invflags & IP6T_RT_INV_TYP, std::to_string(rt.rt_type));
    if (rt.segsleft[0] != 0 || rt.segsleft[1] != 0xffffffff)
        text += range_text("--rt-segsleft", rt.segsleft[0], rt.segsleft[1],
                           rt.invflags & IP6T_RT_INV_SGS);
    if (rt.flags & IP6T_RT_LEN)
        text += option_text("--rt-len", rt.invflags & IP6T_RT_INV_LEN, std::to_string(rt.hdrlen));
    if (rt.flags & IP6T_RT_RES)
        text += " --rt-0-res";
    if (rt.flags & IP6T_RT_FST)
        text += " --rt-0-addrs";
    for (unsigned i = 0; i < rt.addrnr; ++i)
        text += (i == 0 ? " " : ",") + ipv6_address_text(rt.addrs[i]);
    if (rt.flags & IP6T_RT_FST_NSTRICT)
        text += " --rt-0-not-strict";
    return text;
}

} // namespace

constexpr MatchExtension rt_match{
    {.name = "rt", .family = ir::Family::ipv6, .size = sizeof(ip6t_rt)},
    decode_rt,
    rt_text,
};

} // namespace bpfilter::extension
