// SPDX-License-Identifier: GPL-2.0
//
// -m mh: the type of a mobility header.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter_ipv6/ip6t_mh.h>

namespace bpfilter::extension {

namespace {

std::string wrong_mh(const ip6t_mh &mh)
{
    return mh.invflags & ~IP6T_MH_INV_MASK ? "unknown inversion flags" : "";
}

ir::Conditions lower_mh(const ip6t_mh &mh)
{
    ir::Conditions conditions{ir::Require{ir::Field::mobility}};
    ask_range(conditions, ir::Field::mobility_type, mh.types[0], mh.types[1],
              (mh.invflags & IP6T_MH_INV_TYPE) != 0);
    return conditions;
}

std::string mh_text(const ip6t_mh &mh)
{
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
    reader<wrong_mh, lower_mh, mh_text>,
};

} // namespace bpfilter::extension
