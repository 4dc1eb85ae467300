// SPDX-License-Identifier: GPL-2.0
//
// Random tables and packets, the same for the same seed. Tables have what iptables can say,
// and some of what only a hand-made blob can; packets have options, fragments and headers
// that are cut off or lie.
#pragma once

#include "tests/unit/support/packet.h"
#include "tests/unit/support/reference.h"
#include "tests/unit/support/table.h"

#include <algorithm>
#include <cstdint>
#include <netinet/in.h>
#include <random>
#include <string>
#include <vector>

namespace bpfilter::test {

inline const std::vector<std::string> device_names = {"",      "eth0", "eth1",
                                                      "eth01", "lo",   "averylongname15"};
inline const std::vector<std::string> address_names = {
    "10.0.0.1", "10.0.0.2", "10.0.1.1", "192.168.7.200", "255.255.255.255", "0.0.0.0"};

class Dice {
public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}
    unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }
    bool one_in(unsigned n) { return below(n) == 0; }
    template <typename T> const T &of(const std::vector<T> &values)
    {
        return values[below(static_cast<unsigned>(values.size()))];
    }

private:
    std::mt19937_64 engine_;
};

// IPv4; see random6.h.
class Generator {
public:
    explicit Generator(std::uint64_t seed) : dice_(seed) {}
    virtual ~Generator() = default;

    BuiltTable table()
    {
        TableBuilder builder;
        builder.family(family());
        const unsigned chains = dice_.one_in(3) ? 0 : dice_.below(8);
        fill(builder.chain("INPUT", ir::Hook::local_in, policy()), 0, chains);
        fill(builder.chain("FORWARD", ir::Hook::forward, policy()), 0, chains);
        fill(builder.chain("OUTPUT", ir::Hook::local_out, policy()), 0, chains);
        // A chain calls only those with higher numbers: no loops.
        for (unsigned i = 1; i <= chains; ++i)
            fill(builder.chain(name(i)), i, chains);
        BuiltTable table = builder.build();
        if (dice_.one_in(4)) // as only a hand-made blob says it
            table.stack_depth = dice_.below(4);
        return table;
    }

    virtual PacketBytes packet()
    {
        Packet packet;
        packet.source(dice_.of(address_names)).destination(dice_.of(address_names));
        l4(packet);
        if (dice_.one_in(6))
            packet.ip_options(PacketBytes(4 * (1 + dice_.below(10)), std::byte{1}));
        if (dice_.one_in(6))
            packet.fragment(static_cast<std::uint16_t>(dice_.below(4)), dice_.one_in(2));
        if (dice_.one_in(4))
            packet.payload(dice_.below(600));
        PacketBytes bytes = packet.bytes();
        if (dice_.one_in(6))
            bytes.resize(20 + dice_.below(static_cast<unsigned>(bytes.size()) - 19));
        if (dice_.one_in(40)) // as a raw socket may say it
            bytes[0] = static_cast<std::byte>(0x40 | dice_.below(16));
        return bytes;
    }

    Devices device_pair()
    {
        const auto link = static_cast<bpfilter_link>(dice_.below(3));
        return Devices{dice_.of(device_names),
                       dice_.of(device_names),
                       dice_.one_in(4) ? link : BPFILTER_LINK_ETHERNET,
                       dice_.below(8),
                       dice_.below(4),
                       1U << dice_.below(9) | (dice_.one_in(4) ? 3U : 0U) << 6};
    }

protected:
    virtual ir::Family family() const { return ir::Family::ipv4; }
    virtual const std::vector<std::string> &addresses() const { return address_names; }

    // Behind addresses and devices.
    virtual void other_match(Matches &result)
    {
        if (dice_.one_in(8))
            result.push_back(Fragment{dice_.one_in(2)});
        if (dice_.one_in(2))
            l4_match(result);
    }

    static std::string name(unsigned i) { return "chain" + std::to_string(i); }

    ir::Verdict policy()
    {
        return dice_.one_in(2) ? ir::Verdict(ir::Accept{}) : ir::Verdict(ir::Drop{});
    }

    void fill(ChainBuilder &chain, unsigned self, unsigned chains)
    {
        const unsigned rules = dice_.below(12);
        for (unsigned i = 0; i < rules; ++i) {
            const unsigned kind = dice_.below(10);
            if (kind < 3 && self < chains) {
                const std::string target = name(self + 1 + dice_.below(chains - self));
                if (dice_.one_in(3))
                    chain.go(matches(), target);
                else
                    chain.jump(matches(), target);
            } else if (kind < 6) {
                chain.count(matches());
            } else if (kind < 7) {
                chain.rule(matches(), ir::Return{});
            } else if (kind < 8) {
                chain.rule(matches(), ir::Accept{});
            } else {
                chain.rule(matches(),
                           dice_.one_in(8) ? ir::Verdict(ir::Queue{}) : ir::Verdict(ir::Drop{}));
            }
        }
    }

    Matches matches()
    {
        Matches result;
        if (dice_.one_in(4))
            result.push_back(from(dice_.of(addresses()), prefix(), dice_.one_in(3)));
        if (dice_.one_in(4))
            result.push_back(to(dice_.of(addresses()), prefix(), dice_.one_in(3)));
        if (dice_.one_in(6))
            result.push_back(in(device(), dice_.one_in(3)));
        if (dice_.one_in(6))
            result.push_back(out(device(), dice_.one_in(3)));
        if (dice_.one_in(40))
            result.push_back(Never{});
        other_match(result);
        // A value outside of its mask, which ip6_tables does not look at.
        if (dice_.one_in(60) && !result.empty() && family() == ir::Family::ipv4)
            if (auto *source = std::get_if<SourceAddress>(&result.front()))
                source->value[3] ^= std::byte{1};
        return result;
    }

    unsigned prefix() { return dice_.below(family() == ir::Family::ipv6 ? 129 : 33); }

    std::string device()
    {
        std::string text = dice_.of(device_names);
        if (text.empty() || dice_.one_in(3))
            text = text.substr(0, dice_.below(static_cast<unsigned>(text.size()) + 1)) + '+';
        return text;
    }

    void l4_match(Matches &result)
    {
        switch (dice_.below(6)) {
        case 0:
            result.push_back(protocol(IPPROTO_TCP));
            result.push_back(tcp());
            break;
        case 5:
            beginning_match(result);
            break;
        case 1:
            result.push_back(protocol(IPPROTO_UDP));
            result.push_back(Udp{ports(), ports()});
            break;
        case 2:
            result.push_back(protocol(IPPROTO_ICMP));
            result.push_back(icmp());
            break;
        case 3:
            result.push_back(protocol(dice_.one_in(9) ? 300 : IPPROTO_TCP, dice_.one_in(2)));
            break;
        default: // no protocol asked first: only a hand-made blob, and codegen must not care
            result.push_back(dice_.one_in(2) ? Match(tcp()) : Match(icmp()));
        }
    }

    // What asks for another length of a header than the usual ones.
    void beginning_match(Matches &result)
    {
        static const std::vector<std::uint16_t> some = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP,
                                                        IPPROTO_ESP};
        if (!dice_.one_in(8))
            result.push_back(protocol(dice_.of(some)));
        const NumberRange spi{port() << 16 | port(), ~dice_.below(0x1000000), dice_.one_in(3)};
        switch (dice_.below(6)) {
        case 0:
            result.push_back(Sctp{ports(), ports()});
            break;
        case 1:
            result.push_back(Esp{spi});
            break;
        case 2:
            result.push_back(family() == ir::Family::ipv4 ? Match(Ah{spi}) : Match(Esp{spi}));
            break;
        default:
            result.push_back(multiport());
        }
    }

    Multiport multiport()
    {
        Multiport match{static_cast<Multiport::Of>(dice_.below(3)), {}, dice_.one_in(4)};
        for (unsigned n = dice_.below(7); n > 0; --n) {
            match.list.push_back(ports());
            match.list.back().invert = false;
        }
        return match;
    }

    PortRange ports()
    {
        if (dice_.one_in(2))
            return {};
        const auto a = static_cast<std::uint16_t>(port());
        const auto b = static_cast<std::uint16_t>(dice_.one_in(2) ? a : port());
        return {std::min(a, b), std::max(a, b), dice_.one_in(4)};
    }

    unsigned port()
    {
        static const std::vector<unsigned> some = {0, 1, 22, 80, 255, 256, 443, 1024, 65535};
        return dice_.of(some);
    }

    Tcp tcp()
    {
        Tcp match;
        match.source = ports();
        match.destination = ports();
        if (dice_.one_in(3)) {
            match.flags_mask = static_cast<std::uint8_t>(dice_.below(256));
            match.flags_value = static_cast<std::uint8_t>(
                dice_.one_in(9) ? dice_.below(256) : dice_.below(256) & match.flags_mask);
            match.flags_invert = dice_.one_in(3);
        }
        if (dice_.one_in(3)) {
            match.option = static_cast<std::uint8_t>(1 + dice_.below(dice_.one_in(4) ? 255 : 9));
            match.option_invert = dice_.one_in(3);
        }
        return match;
    }

    Icmp icmp()
    {
        Icmp match;
        match.type = static_cast<std::uint8_t>(dice_.one_in(4) ? 0xff : dice_.below(12));
        match.code_min = static_cast<std::uint8_t>(dice_.below(3));
        match.code_max = static_cast<std::uint8_t>(dice_.one_in(3) ? 255 : dice_.below(4));
        match.invert = dice_.one_in(4);
        return match;
    }

    // As much as there may be of a header, or less than that.
    void beginning(Packet &packet)
    {
        static const std::vector<std::uint8_t> some = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP,
                                                       IPPROTO_ESP};
        packet.udp(static_cast<std::uint16_t>(port()), static_cast<std::uint16_t>(port()));
        PacketBytes bytes = packet.bytes();
        bytes.erase(bytes.begin(), bytes.begin() + 20);
        bytes.resize(dice_.below(16), static_cast<std::byte>(dice_.below(256)));
        packet.protocol(dice_.of(some)).l4(bytes);
    }

    void l4(Packet &packet)
    {
        switch (dice_.below(6)) {
        case 0:
            packet.udp(static_cast<std::uint16_t>(port()), static_cast<std::uint16_t>(port()));
            return;
        case 1:
            packet.icmp(static_cast<std::uint8_t>(dice_.below(12)),
                        static_cast<std::uint8_t>(dice_.below(4)));
            return;
        case 2:
            beginning(packet);
            return;
        default:
            packet.tcp(static_cast<std::uint16_t>(port()), static_cast<std::uint16_t>(port()))
                .flags(static_cast<std::uint8_t>(dice_.below(256)));
        }
        PacketBytes options(4 * dice_.below(11));
        for (std::byte &byte : options)
            byte = static_cast<std::byte>(dice_.below(dice_.one_in(9) ? 256 : 10));
        packet.tcp_options(options);
        if (dice_.one_in(8))
            packet.data_offset(static_cast<std::uint8_t>(dice_.below(16)));
    }

    Dice dice_;
};

inline std::string describe(const PacketBytes &packet)
{
    std::string text;
    for (const std::byte byte : packet) {
        static constexpr char digits[] = "0123456789abcdef";
        text += digits[std::to_integer<unsigned>(byte) >> 4];
        text += digits[std::to_integer<unsigned>(byte) & 0xf];
    }
    return text;
}

// Empty if they are equal; else the rules that differ.
inline std::string difference(const ir::Table &table, const std::vector<ir::Counters> &got,
                              const std::vector<ir::Counters> &expected)
{
    std::string text;
    for (const ir::Rule &rule : table.rules)
        if (got[rule.id] != expected[rule.id])
            text += "rule " + std::to_string(rule.id) + ": " +
                    std::to_string(got[rule.id].packets) + " packets, " +
                    std::to_string(got[rule.id].bytes) + " bytes, expected " +
                    std::to_string(expected[rule.id].packets) + " and " +
                    std::to_string(expected[rule.id].bytes) + '\n';
    return text;
}

} // namespace bpfilter::test
