// SPDX-License-Identifier: GPL-2.0
//
// -m pkttype: whom the link layer brought the packet to.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/netfilter/xt_pkttype.h>

#include <array>
#include <string>

namespace bpfilter::extension {

namespace {

std::string wrong(const xt_pkttype_info & /*info*/)
{
    return {};
}

// The kernel's is (type == pkttype) ^ invert, as numbers: more than 1 always holds.
ir::Conditions lower(const xt_pkttype_info &info)
{
    ir::Conditions conditions;
    if (info.invert == 0 || info.invert == 1)
        ask_number(conditions, ir::Field::packet_type, static_cast<std::uint32_t>(info.pkttype),
                   info.invert != 0);
    return conditions;
}

std::string text(const xt_pkttype_info &info)
{
    constexpr std::array names{"unicast", "broadcast", "multicast"};
    const auto type = static_cast<std::uint32_t>(info.pkttype);
    return option_text("--pkt-type", info.invert != 0,
                       type < names.size() ? names.at(type) : std::to_string(info.pkttype));
}

} // namespace

constexpr MatchExtension pkttype_match{
    {.name = "pkttype", .size = sizeof(xt_pkttype_info)},
    reader<wrong, lower, text>,
};

} // namespace bpfilter::extension
