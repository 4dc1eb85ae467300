// SPDX-License-Identifier: GPL-2.0
//
// -m mh: the type of a mobility header.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/in.h>
#include <linux/netfilter_ipv6/ip6t_mh.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_mh(Bytes payload)
{
    const auto mh = load<ip6t_mh>(payload, 0);
    if (mh.invflags & ~IP6T_MH_INV_MASK)
        return fail(EINVAL, "match mh: unknown inversion flags");
    return ir::Mobility{{mh.types[0], mh.types[1], (mh.invflags & IP6T_MH_INV_TYPE) != 0}};
}

std::string mh_text(Bytes payload)
{
    const auto mh = load<ip6t_mh>(payload, 0);
    if (mh.types[0] == 0 && mh.types[1] == 0xff)
        return {};
    return range_text("--mh-type", mh.types[0], mh.types[1], mh.invflags & IP6T_MH_INV_TYPE);
}

} // namespace

constexpr MatchExtension mh_match{
    {.name = "mh",
     .family = ir::Family::ipv6,
     .size = sizeof(ip6t_mh),
     .protocol = 135}, // IPPROTO_MH
    decode_mh,
    mh_text,
};

} // namespace bpfilter::extension
