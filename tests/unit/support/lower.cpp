// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/lower.h"

#include "tests/unit/support/blob.h"
#include "umh/core/blob/layout.h"
#include "umh/core/extension/extension.h"

#include <linux/netfilter/xt_esp.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_sctp.h>
#include <linux/netfilter_ipv4/ipt_ah.h>
#include <linux/netfilter_ipv6/ip6t_ah.h>
#include <linux/netfilter_ipv6/ip6t_frag.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <linux/netfilter_ipv6/ip6t_ipv6header.h>
#include <linux/netfilter_ipv6/ip6t_mh.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>

#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

namespace bpfilter::test {

namespace {

template <typename T> std::uint8_t flag(T bit, bool set)
{
    return static_cast<std::uint8_t>(set ? bit : 0);
}

std::uint8_t small(std::uint32_t number)
{
    return static_cast<std::uint8_t>(std::min(number, 0xffU));
}

class Lowering {
public:
    explicit Lowering(ir::Family family) : family_(family) {}

    // The IP part, one question at a time.
    ir::Conditions operator()(const SourceAddress &match) const
    {
        return ip([&match](auto &ip) {
            address(ip.src, ip.smsk, match);
            ip.invflags = flag(IPT_INV_SRCIP, match.invert);
        });
    }

    ir::Conditions operator()(const DestinationAddress &match) const
    {
        return ip([&match](auto &ip) {
            address(ip.dst, ip.dmsk, match);
            ip.invflags = flag(IPT_INV_DSTIP, match.invert);
        });
    }

    ir::Conditions operator()(const InInterface &match) const
    {
        return ip([&match](auto &ip) {
            std::memcpy(ip.iniface, match.name.data(), match.name.size());
            std::memcpy(ip.iniface_mask, match.mask.data(), match.mask.size());
            ip.invflags = flag(IPT_INV_VIA_IN, match.invert);
        });
    }

    ir::Conditions operator()(const OutInterface &match) const
    {
        return ip([&match](auto &ip) {
            std::memcpy(ip.outiface, match.name.data(), match.name.size());
            std::memcpy(ip.outiface_mask, match.mask.data(), match.mask.size());
            ip.invflags = flag(IPT_INV_VIA_OUT, match.invert);
        });
    }

    ir::Conditions operator()(const Protocol &match) const
    {
        return ip([&match, this](auto &ip) {
            ip.proto = match.value;
            ip.flags = flag(IP6T_F_PROTO, family_ == ir::Family::ipv6);
            ip.invflags = flag(IPT_INV_PROTO, match.invert);
        });
    }

    ir::Conditions operator()(const Fragment &match) const
    {
        return ip([&match](auto &ip) {
            ip.flags = IPT_F_FRAG;
            ip.invflags = flag(IPT_INV_FRAG, match.invert);
        });
    }

    ir::Conditions operator()(const Never & /*match*/) const { return {ir::Never{}}; }

    ir::Conditions operator()(const Tcp &match) const
    {
        return read("tcp", xt_tcp{
                               .spts = {match.source.min, match.source.max},
                               .dpts = {match.destination.min, match.destination.max},
                               .option = match.option,
                               .flg_mask = match.flags_mask,
                               .flg_cmp = match.flags_value,
                               .invflags = static_cast<std::uint8_t>(
                                   flag(XT_TCP_INV_SRCPT, match.source.invert) |
                                   flag(XT_TCP_INV_DSTPT, match.destination.invert) |
                                   flag(XT_TCP_INV_FLAGS, match.flags_invert) |
                                   flag(XT_TCP_INV_OPTION, match.option_invert)),
                           });
    }

    ir::Conditions operator()(const Udp &match) const
    {
        return read("udp", xt_udp{
                               .spts = {match.source.min, match.source.max},
                               .dpts = {match.destination.min, match.destination.max},
                               .invflags = static_cast<std::uint8_t>(
                                   flag(XT_UDP_INV_SRCPT, match.source.invert) |
                                   flag(XT_UDP_INV_DSTPT, match.destination.invert)),
                           });
    }

    ir::Conditions operator()(const Multiport &match) const
    {
        xt_multiport_v1 info{};
        info.flags = static_cast<std::uint8_t>(match.of);
        info.invert = flag(1, match.invert);
        for (const PortRange &range : match.list) {
            info.pflags[info.count] = flag(1, range.min != range.max);
            info.ports[info.count++] = range.min;
            if (range.min != range.max)
                info.ports[info.count++] = range.max;
        }
        return read("multiport", info, 1);
    }

    ir::Conditions operator()(const Sctp &match) const
    {
        xt_sctp_info info{};
        info.spts[0] = match.source.min;
        info.spts[1] = match.source.max;
        info.dpts[0] = match.destination.min;
        info.dpts[1] = match.destination.max;
        info.flags = XT_SCTP_SRC_PORTS | XT_SCTP_DEST_PORTS;
        info.invflags = flag(XT_SCTP_SRC_PORTS, match.source.invert) |
                        flag(XT_SCTP_DEST_PORTS, match.destination.invert);
        return read("sctp", info);
    }

    ir::Conditions operator()(const Esp &match) const
    {
        return read("esp",
                    xt_esp{{match.spi.min, match.spi.max}, flag(XT_ESP_INV_SPI, match.spi.invert)});
    }

    ir::Conditions operator()(const Ah &match) const
    {
        return read("ah",
                    ipt_ah{{match.spi.min, match.spi.max}, flag(IPT_AH_INV_SPI, match.spi.invert)});
    }

    ir::Conditions operator()(const Icmp &match) const
    {
        return read("icmp", ipt_icmp{match.type,
                                     {match.code_min, match.code_max},
                                     flag(IPT_ICMP_INV, match.invert)});
    }

    ir::Conditions operator()(const Icmp6 &match) const
    {
        return read("icmp6", ip6t_icmp{match.type,
                                       {match.code_min, match.code_max},
                                       flag(IP6T_ICMP_INV, match.invert)});
    }

    ir::Conditions operator()(const Mobility &match) const
    {
        return read("mh", ip6t_mh{{small(match.type.min), small(match.type.max)},
                                  flag(IP6T_MH_INV_TYPE, match.type.invert)});
    }

    ir::Conditions operator()(const HopLimit &match) const
    {
        return read("hl", ip6t_hl_info{static_cast<std::uint8_t>(match.test), match.value});
    }

    ir::Conditions operator()(const HeaderSet &match) const
    {
        return read("ipv6header",
                    ip6t_ipv6header_info{match.headers, match.invert, flag(1, match.soft)});
    }

    ir::Conditions operator()(const FragmentHeader &match) const
    {
        return read("frag",
                    ip6t_frag{
                        .ids = {match.id.min, match.id.max},
                        .hdrlen = 0,
                        .flags = static_cast<std::uint8_t>(
                            flag(IP6T_FRAG_RES, match.reserved) | flag(IP6T_FRAG_FST, match.first) |
                            flag(IP6T_FRAG_MF, match.more) | flag(IP6T_FRAG_NMF, match.last)),
                        .invflags = flag(IP6T_FRAG_INV_IDS, match.id.invert),
                    });
    }

    ir::Conditions operator()(const Authentication &match) const
    {
        // 0 is not asked, and no length either: 1 is none too.
        const std::uint32_t length = match.length ? std::max(match.length->value, 1U) : 0;
        return read("ah", ip6t_ah{
                              .spis = {match.spi.min, match.spi.max},
                              .hdrlen = length,
                              .hdrres = flag(1, match.reserved),
                              .invflags = static_cast<std::uint8_t>(
                                  flag(IP6T_AH_INV_SPI, match.spi.invert) |
                                  flag(IP6T_AH_INV_LEN, match.length && match.length->invert)),
                          });
    }

    ir::Conditions operator()(const Options &match) const
    {
        ip6t_opts opts{};
        opts.flags = static_cast<std::uint8_t>(flag(IP6T_OPTS_LEN, match.length.has_value()) |
                                               flag(IP6T_OPTS_OPTS, !match.options.empty()));
        opts.hdrlen = match.length ? match.length->value : 0;
        opts.invflags = flag(IP6T_OPTS_INV_LEN, match.length && match.length->invert);
        opts.optsnr = static_cast<std::uint8_t>(match.options.size());
        for (std::size_t i = 0; i < match.options.size(); ++i)
            opts.opts[i] =
                static_cast<std::uint16_t>(match.options[i].type << 8 | match.options[i].length);
        return read(match.header == Options::Header::hop ? "hbh" : "dst", opts);
    }

    ir::Conditions operator()(const Routing &match) const
    {
        ip6t_rt rt{};
        rt.flags = static_cast<std::uint8_t>(
            flag(IP6T_RT_TYP, match.type.has_value()) |
            flag(IP6T_RT_LEN, match.length.has_value()) | flag(IP6T_RT_RES, match.reserved) |
            flag(IP6T_RT_FST, !match.addresses.empty()) |
            flag(IP6T_RT_FST_NSTRICT, !match.addresses.empty() && !match.strict));
        rt.rt_type = match.type ? match.type->value : 0;
        rt.segsleft[0] = match.left.min;
        rt.segsleft[1] = match.left.max;
        rt.hdrlen = match.length ? match.length->value : 0;
        rt.invflags =
            static_cast<std::uint8_t>(flag(IP6T_RT_INV_TYP, match.type && match.type->invert) |
                                      flag(IP6T_RT_INV_SGS, match.left.invert) |
                                      flag(IP6T_RT_INV_LEN, match.length && match.length->invert));
        rt.addrnr = static_cast<std::uint8_t>(match.addresses.size());
        for (std::size_t i = 0; i < match.addresses.size(); ++i)
            rt.addrs[i] = std::bit_cast<in6_addr>(match.addresses[i]);
        return read("rt", rt);
    }

    ir::Conditions operator()(const Eui64 & /*match*/) const { return read("eui64", 0); }

private:
    static_assert(int(IP6T_INV_SRCIP) == int(IPT_INV_SRCIP));
    static_assert(int(IP6T_INV_DSTIP) == int(IPT_INV_DSTIP));
    static_assert(int(IP6T_INV_VIA_IN) == int(IPT_INV_VIA_IN));
    static_assert(int(IP6T_INV_VIA_OUT) == int(IPT_INV_VIA_OUT));
    static_assert(int(IP6T_INV_PROTO) == int(IPT_INV_PROTO));

    // T: in_addr or in6_addr
    template <typename T, typename M> static void address(T &value, T &mask, const M &match)
    {
        std::memcpy(&value, match.value.data(), sizeof(T));
        std::memcpy(&mask, match.mask.data(), sizeof(T));
    }

    template <typename F> ir::Conditions ip(F fill) const
    {
        const blob::Layout &layout = **blob::find_layout(family_);
        if (family_ == ir::Family::ipv6) {
            ip6t_ip6 part{};
            fill(part);
            return layout.ip_conditions(std::as_bytes(std::span(&part, 1)));
        }
        ipt_ip part{};
        fill(part);
        return layout.ip_conditions(std::as_bytes(std::span(&part, 1)));
    }

    template <typename T>
    ir::Conditions read(const char *name, const T &info, std::uint8_t revision = 0) const
    {
        const auto row = extension::find_match(family_, name, revision);
        if (!row)
            throw std::invalid_argument(row.error().message);
        auto meaning = (*row)->read(bytes_of(info));
        if (!meaning)
            throw std::invalid_argument(std::string(name) + ": " + meaning.error().message);
        return std::move(meaning->conditions);
    }

    ir::Family family_;
};

} // namespace

ir::Conditions lower(const std::vector<Match> &matches, ir::Family family)
{
    ir::Conditions conditions;
    for (const Match &match : matches)
        conditions.append(std::visit(Lowering(family), match));
    return conditions;
}

} // namespace bpfilter::test
