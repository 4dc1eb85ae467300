// SPDX-License-Identifier: GPL-2.0
//
// -m tcp: ports, flags, and one option.
#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <linux/in.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <array>
#include <cerrno>

namespace bpfilter::extension {

namespace {

Result<ir::Match> decode_tcp(Bytes payload)
{
    const auto tcp = load<xt_tcp>(payload, 0);
    if (tcp.invflags & ~XT_TCP_INV_MASK)
        return fail(EINVAL, "match tcp: unknown inversion flags");
    return ir::Tcp{
        .source = {tcp.spts[0], tcp.spts[1], (tcp.invflags & XT_TCP_INV_SRCPT) != 0},
        .destination = {tcp.dpts[0], tcp.dpts[1], (tcp.invflags & XT_TCP_INV_DSTPT) != 0},
        .flags_mask = tcp.flg_mask,
        .flags_value = tcp.flg_cmp,
        .flags_invert = (tcp.invflags & XT_TCP_INV_FLAGS) != 0,
        .option = tcp.option,
        .option_invert = (tcp.invflags & XT_TCP_INV_OPTION) != 0,
    };
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

std::string tcp_text(Bytes payload)
{
    const auto tcp = load<xt_tcp>(payload, 0);
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
    decode_tcp,
    tcp_text,
};

} // namespace bpfilter::extension
