// SPDX-License-Identifier: GPL-2.0
//
// -m udp, and -m udplite, which is the same but for the protocol: ports.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/in.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_udp(Bytes payload)
{
    const auto udp = load<xt_udp>(payload, 0);
    if (udp.invflags & ~XT_UDP_INV_MASK)
        return fail(EINVAL, "match udp: unknown inversion flags");
    return ir::Udp{
        .source = {udp.spts[0], udp.spts[1], (udp.invflags & XT_UDP_INV_SRCPT) != 0},
        .destination = {udp.dpts[0], udp.dpts[1], (udp.invflags & XT_UDP_INV_DSTPT) != 0},
    };
}

std::string udp_text(Bytes payload)
{
    const auto udp = load<xt_udp>(payload, 0);
    return ports_text("--sport", udp.spts[0], udp.spts[1], udp.invflags & XT_UDP_INV_SRCPT) +
           ports_text("--dport", udp.dpts[0], udp.dpts[1], udp.invflags & XT_UDP_INV_DSTPT);
}

} // namespace

constexpr MatchExtension udp_match{
    {.name = "udp", .size = sizeof(xt_udp), .protocol = IPPROTO_UDP},
    decode_udp,
    udp_text,
};

constexpr MatchExtension udplite_match{
    {.name = "udplite", .size = sizeof(xt_udp), .protocol = IPPROTO_UDPLITE},
    decode_udp,
    udp_text,
};

} // namespace bpfilter::extension
