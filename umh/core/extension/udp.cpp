// SPDX-License-Identifier: GPL-2.0
//
// -m udp, and -m udplite, which is the same but for the protocol: ports.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter/xt_tcpudp.h>

namespace bpfilter::extension {

namespace {

std::string wrong_udp(const xt_udp &udp)
{
    return udp.invflags & ~XT_UDP_INV_MASK ? "unknown inversion flags" : "";
}

ir::Conditions lower_udp(const xt_udp &udp)
{
    ir::Conditions conditions{ir::Require{ir::Field::ports}};
    ask_range(conditions, ir::Field::source_port, udp.spts[0], udp.spts[1],
              (udp.invflags & XT_UDP_INV_SRCPT) != 0);
    ask_range(conditions, ir::Field::destination_port, udp.dpts[0], udp.dpts[1],
              (udp.invflags & XT_UDP_INV_DSTPT) != 0);
    return conditions;
}

std::string udp_text(const xt_udp &udp)
{
    return ports_text("--sport", udp.spts[0], udp.spts[1], udp.invflags & XT_UDP_INV_SRCPT) +
           ports_text("--dport", udp.dpts[0], udp.dpts[1], udp.invflags & XT_UDP_INV_DSTPT);
}

} // namespace

constexpr MatchExtension udp_match{
    {.name = "udp", .size = sizeof(xt_udp), .protocol = IPPROTO_UDP},
    reader<wrong_udp, lower_udp, udp_text>,
};

constexpr MatchExtension udplite_match{
    {.name = "udplite", .size = sizeof(xt_udp), .protocol = IPPROTO_UDPLITE},
    reader<wrong_udp, lower_udp, udp_text>,
};

} // namespace bpfilter::extension
