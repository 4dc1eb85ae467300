// SPDX-License-Identifier: GPL-2.0
//
// -m sctp and -m dccp, what they ask of ports. Chunks, types and options are the kernel's, which
// walks through them.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter/xt_dccp.h>
#include <linux/netfilter/xt_sctp.h>

#include <iterator>
#include <string>

namespace bpfilter::extension {

namespace {

// What both have.
constexpr std::uint32_t source = XT_SCTP_SRC_PORTS;
constexpr std::uint32_t destination = XT_SCTP_DEST_PORTS;
static_assert(source == XT_DCCP_SRC_PORTS && destination == XT_DCCP_DEST_PORTS);

template <typename Info> bool asks_more(Bytes payload)
{
    return (load<Info>(payload, 0).flags & ~(source | destination)) != 0;
}

template <typename Info> std::string wrong_flags(const Info &info)
{
    if ((info.flags & ~(source | destination)) != 0)
        return "all but ports only the kernel has";
    return (info.invflags & ~info.flags) != 0 ? "unknown inversion flags" : "";
}

std::string wrong_sctp(const xt_sctp_info &sctp)
{
    if (sctp.flag_count < 0 ||
        static_cast<std::size_t>(sctp.flag_count) > std::size(sctp.flag_info))
        return "too many flags of chunks";
    return wrong_flags(sctp);
}

// Fewer than 12 bytes: the packet is dropped, whatever is asked.
template <typename Info> ir::Conditions lower(const Info &info)
{
    ir::Conditions conditions{ir::Require{ir::Field::sctp}};
    if ((info.flags & source) != 0)
        ask_range(conditions, ir::Field::source_port, info.spts[0], info.spts[1],
                  (info.invflags & source) != 0);
    if ((info.flags & destination) != 0)
        ask_range(conditions, ir::Field::destination_port, info.dpts[0], info.dpts[1],
                  (info.invflags & destination) != 0);
    return conditions;
}

template <typename Info> std::string text(const Info &info)
{
    std::string text;
    if ((info.flags & source) != 0)
        text += range_text("--sport", info.spts[0], info.spts[1], (info.invflags & source) != 0);
    if ((info.flags & destination) != 0)
        text +=
            range_text("--dport", info.dpts[0], info.dpts[1], (info.invflags & destination) != 0);
    return text;
}

} // namespace

constexpr MatchExtension sctp_match{
    {.name = "sctp", .size = sizeof(xt_sctp_info), .protocol = IPPROTO_SCTP},
    reader<wrong_sctp, lower<xt_sctp_info>, text<xt_sctp_info>>,
    asks_more<xt_sctp_info>,
};

constexpr MatchExtension dccp_match{
    {.name = "dccp", .size = sizeof(xt_dccp_info), .protocol = IPPROTO_DCCP},
    reader<wrong_flags<xt_dccp_info>, lower<xt_dccp_info>, text<xt_dccp_info>>,
    asks_more<xt_dccp_info>,
};

} // namespace bpfilter::extension
