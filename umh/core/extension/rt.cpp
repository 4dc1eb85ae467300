// SPDX-License-Identifier: GPL-2.0
//
// -m rt: the routing header.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter_ipv6/ip6t_rt.h>

#include <arpa/inet.h>
#include <utility>

namespace bpfilter::extension {

namespace {

bool asks_for_none(const ip6t_rt &rt)
{
    return (rt.flags & IP6T_RT_FST_MASK) != 0 && rt.addrnr == 0;
}

std::string wrong_rt(const ip6t_rt &rt)
{
    if (rt.invflags & ~IP6T_RT_INV_MASK)
        return "unknown inversion flags";
    if (rt.addrnr > IP6T_RT_HOPS)
        return "too many addresses";
    if (asks_for_none(rt))
        return "a list of no addresses";
    if ((rt.flags & (IP6T_RT_RES | IP6T_RT_FST_MASK)) &&
        (!(rt.flags & IP6T_RT_TYP) || rt.rt_type != 0 || (rt.invflags & IP6T_RT_INV_TYP)))
        return "--rt-0-res and --rt-0-addrs need --rt-type 0";
    return {};
}

ir::Listed::Item words_of(const in6_addr &address)
{
    ir::Listed::Item words{};
    for (std::size_t i = 0; i < words.size(); ++i)
        words[i] = ntohl(address.s6_addr32[i]);
    return words;
}

// Strict: exactly these addresses; else these in this order, any others before, between, behind.
ir::Conditions lower_rt(const ip6t_rt &rt)
{
    ir::Conditions conditions{ir::Require{ir::Field::routing}};
    ask_range(conditions, ir::Field::routing_left, rt.segsleft[0], rt.segsleft[1],
              (rt.invflags & IP6T_RT_INV_SGS) != 0);
    if (rt.flags & IP6T_RT_LEN)
        ask_number(conditions, ir::Field::routing_length, rt.hdrlen,
                   (rt.invflags & IP6T_RT_INV_LEN) != 0);
    if (rt.flags & IP6T_RT_TYP)
        ask_number(conditions, ir::Field::routing_type, rt.rt_type,
                   (rt.invflags & IP6T_RT_INV_TYP) != 0);
    if (rt.flags & IP6T_RT_RES)
        ask_number(conditions, ir::Field::routing_reserved, 0);
    if (!(rt.flags & IP6T_RT_FST))
        return conditions;
    if (!(rt.flags & IP6T_RT_FST_NSTRICT))
        ask_number(conditions, ir::Field::routing_addresses, rt.addrnr);
    ir::Listed listed{.list = ir::List::route, .items = {}};
    for (unsigned i = 0; i < rt.addrnr; ++i)
        listed.items.push_back(words_of(rt.addrs[i]));
    conditions.emplace_back(listed);
    return conditions;
}

std::string rt_text(const ip6t_rt &rt)
{
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

// Some kernels refuse a list of no addresses, others compare the first of them all the same.
bool is_left(Bytes payload)
{
    return asks_for_none(load<ip6t_rt>(payload, 0));
}

} // namespace

constexpr MatchExtension rt_match{
    {.name = "rt", .family = ir::Family::ipv6, .size = sizeof(ip6t_rt)},
    reader<wrong_rt, lower_rt, rt_text>,
    is_left,
};

} // namespace bpfilter::extension
