// SPDX-License-Identifier: GPL-2.0
//
// -m tcp: ports, flags, and one option.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <array>

namespace bpfilter::extension {

namespace {

std::string wrong_tcp(const xt_tcp &tcp)
{
    return tcp.invflags & ~XT_TCP_INV_MASK ? "unknown inversion flags" : "";
}

// Fewer than 20 bytes, or a fragment that would overwrite them: the packet is dropped.
ir::Conditions lower_tcp(const xt_tcp &tcp)
{
    const auto inverts = [&tcp](unsigned flag) { return (tcp.invflags & flag) != 0; };
    ir::Conditions conditions{ir::Require{ir::Field::tcp}};
    ask_range(conditions, ir::Field::source_port, tcp.spts[0], tcp.spts[1],
              inverts(XT_TCP_INV_SRCPT));
    ask_range(conditions, ir::Field::destination_port, tcp.dpts[0], tcp.dpts[1],
              inverts(XT_TCP_INV_DSTPT));
    ask_masked(conditions, ir::Field::flags, tcp.flg_mask, tcp.flg_cmp, inverts(XT_TCP_INV_FLAGS));
    if (tcp.option != 0) {
        const std::uint32_t bit = 1U << tcp.option % 32;
        conditions.emplace_back(ir::Require{ir::Field::tcp_options});
        ask_masked(conditions, at(ir::Field::tcp_option_kinds_0, tcp.option / 32), bit,
                   inverts(XT_TCP_INV_OPTION) ? 0 : bit);
    }
    return conditions;
}

// "SYN,ACK", or "NONE". The two bits without a name in iptables are given as a number.
std::string flags_text(std::uint8_t flags)
{
    constexpr std::array names{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "0x40", "0x80"};
    std::string text;
    for (std::size_t bit = 0; bit < names.size(); ++bit) {
        if (!(flags & (1U << bit)))
            continue;
        if (!text.empty())
            text += ',';
        text += names[bit];
    }
    return text.empty() ? "NONE" : text;
}

std::string tcp_text(const xt_tcp &tcp)
{
    std::string text =
        ports_text("--sport", tcp.spts[0], tcp.spts[1], tcp.invflags & XT_TCP_INV_SRCPT);
    text += ports_text("--dport", tcp.dpts[0], tcp.dpts[1], tcp.invflags & XT_TCP_INV_DSTPT);
    if (tcp.option || (tcp.invflags & XT_TCP_INV_OPTION))
        text += option_text("--tcp-option", tcp.invflags & XT_TCP_INV_OPTION,
                            std::to_string(tcp.option));
    if (tcp.flg_mask || (tcp.invflags & XT_TCP_INV_FLAGS))
        text += option_text("--tcp-flags", tcp.invflags & XT_TCP_INV_FLAGS,
                            flags_text(tcp.flg_mask) + " " + flags_text(tcp.flg_cmp));
    return text;
}

} // namespace

constexpr MatchExtension tcp_match{
    {.name = "tcp", .size = sizeof(xt_tcp), .protocol = IPPROTO_TCP},
    reader<wrong_tcp, lower_tcp, tcp_text>,
};

} // namespace bpfilter::extension
