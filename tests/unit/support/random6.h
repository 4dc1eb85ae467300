// SPDX-License-Identifier: GPL-2.0
//
// Random IPv6 tables and packets, as random.h has them for IPv4: chains of extension headers
// in any order, some twice, cut off anywhere or lying about their length.
#pragma once

#include "tests/unit/support/packet6.h"
#include "tests/unit/support/random.h"

#include <memory>

namespace bpfilter::test {

inline const std::vector<std::string> address6_names = {
    "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "fe80::11:22ff:fe33:4455", "::", "ff02::1"};

class Generator6 : public Generator {
public:
    using Generator::Generator;

    PacketBytes packet() override
    {
        Packet6 packet;
        packet.source(dice_.of(address6_names)).destination(dice_.of(address6_names));
        packet.hop_limit(byte(6));
        if (dice_.one_in(2))
            for (unsigned n = dice_.below(5); n > 0; --n)
                extension(packet);
        if (dice_.one_in(3)) // again, but with a fragment more often
            packet.fragment(dice_.one_in(2) ? 0 : byte(3), dice_.one_in(2), dice_.below(4));
        transport(packet);
        if (dice_.one_in(4))
            packet.payload(dice_.below(300));
        PacketBytes bytes = packet.bytes();
        if (dice_.one_in(4))
            bytes.resize(40 + dice_.below(static_cast<unsigned>(bytes.size()) - 39));
        else if (dice_.one_in(6) && bytes.size() > 40)
            bytes[40 + dice_.below(static_cast<unsigned>(bytes.size()) - 40)] ^=
                static_cast<std::byte>(1U << dice_.below(8));
        return bytes;
    }

protected:
    ir::Family family() const override { return ir::Family::ipv6; }
    const std::vector<std::string> &addresses() const override { return address6_names; }

    void other_match(Matches &result) override
    {
        if (dice_.one_in(12)) // no protocol asked first: codegen must not care
            l4_match(result);
        if (dice_.one_in(4))
            header_match(result);
        if (dice_.one_in(3))
            protocol_match(result);
        if (dice_.one_in(6))
            header_match(result);
    }

private:
    std::uint8_t byte(unsigned n) { return static_cast<std::uint8_t>(dice_.below(n)); }

    PacketBytes some_bytes(unsigned most)
    {
        PacketBytes bytes(dice_.below(most + 1));
        for (std::byte &b : bytes)
            b = std::byte{byte(dice_.one_in(5) ? 256 : 5)};
        return bytes;
    }

    void extension(Packet6 &packet)
    {
        switch (dice_.below(5)) {
        case 0:
            packet.hop(some_bytes(30));
            break;
        case 1:
            packet.options(some_bytes(30));
            break;
        case 2:
            packet.routing(dice_.one_in(2) ? 0 : byte(3), byte(4), route());
            break;
        case 3:
            packet.authentication(dice_.below(6), dice_.one_in(3) ? 1 : 0);
            break;
        default:
            packet.fragment(dice_.one_in(3) ? byte(3) : 0, dice_.one_in(2), dice_.below(4));
        }
        if (dice_.one_in(8))
            packet.length(byte(dice_.one_in(3) ? 256 : 6));
    }

    Address address() { return ipv6(dice_.of(address6_names)); }

    PacketBytes route()
    {
        PacketBytes rest(4);
        if (dice_.one_in(4))
            rest = some_bytes(12);
        for (unsigned n = dice_.below(6); n > 0; --n) {
            const Address hop = address();
            rest.insert(rest.end(), hop.begin(), hop.end());
        }
        return rest;
    }

    void transport(Packet6 &packet)
    {
        switch (dice_.below(8)) {
        case 0:
            packet.header(dice_.one_in(2) ? 59 : 50, some_bytes(9));
            return;
        case 1:
            packet.header(135, some_bytes(12));
            return;
        case 2:
            packet.header(135, {std::byte{59}, std::byte{0}, std::byte{byte(4)}, std::byte{0},
                                std::byte{0}, std::byte{0}});
            return;
        case 3:
        case 4:
            packet.icmp(byte(12), byte(4));
            return;
        default:
            Packet inner;
            l4(inner);
            packet.transport_of(inner);
        }
    }

    void protocol_match(Matches &result)
    {
        static const std::vector<std::uint16_t> some = {0, 6, 17, 50, 58, 59, 135, 300};
        const auto number = dice_.of(some);
        result.push_back(protocol(number, dice_.one_in(4)));
        if (dice_.one_in(3))
            return;
        l4_match(result);
    }

    void l4_match(Matches &result)
    {
        switch (dice_.below(5)) {
        case 0:
            result.emplace_back(tcp());
            return;
        case 4:
            beginning_match(result);
            return;
        case 1:
            result.emplace_back(Udp{ports(), ports()});
            return;
        case 2:
            result.emplace_back(Icmp6{
                byte(12), byte(3), dice_.one_in(3) ? byte(4) : std::uint8_t{255}, dice_.one_in(4)});
            return;
        default:
            result.emplace_back(Mobility{range(4)});
        }
    }

    NumberRange range(unsigned n)
    {
        if (dice_.one_in(3))
            return {};
        const unsigned min = dice_.below(n);
        return {min, dice_.one_in(3) ? 0xffffffff : min + dice_.below(n), dice_.one_in(4)};
    }

    std::optional<Number> number(unsigned n, unsigned unit = 1)
    {
        if (dice_.one_in(2))
            return std::nullopt;
        return Number{dice_.below(n) * unit, dice_.one_in(3)};
    }

    void header_match(Matches &result)
    {
        switch (dice_.below(7)) {
        case 6:
            result.emplace_back(Eui64{});
            return;
        case 0:
            result.emplace_back(HopLimit{static_cast<HopLimit::Test>(dice_.below(4)), byte(6)});
            return;
        case 1:
            header_set(result);
            return;
        case 2:
            result.emplace_back(FragmentHeader{range(4), dice_.one_in(3), dice_.one_in(4),
                                               dice_.one_in(4), dice_.one_in(4)});
            return;
        case 3:
            result.emplace_back(Authentication{range(6), number(8, 4), dice_.one_in(3)});
            return;
        case 4:
            options(result);
            return;
        default:
            routing(result);
        }
    }

    void header_set(Matches &result)
    {
        const bool soft = dice_.one_in(2);
        const auto headers = dice_.one_in(2) ? byte(256) : HeaderSet::protocol;
        const auto invert = soft ? byte(256) : static_cast<std::uint8_t>(dice_.one_in(3) ? 255 : 0);
        result.emplace_back(HeaderSet{headers, invert, soft});
    }

    void options(Matches &result)
    {
        Options match{.header = static_cast<Options::Header>(dice_.below(2)),
                      .length = number(4, 8),
                      .options = {}};
        if (dice_.one_in(2))
            for (unsigned n = dice_.one_in(4) ? dice_.below(17) : dice_.below(3); n > 0; --n)
                match.options.push_back(
                    {byte(dice_.one_in(3) ? 5 : 2), dice_.one_in(2) ? byte(3) : std::uint8_t{255}});
        result.emplace_back(std::move(match));
    }

    void routing(Matches &result)
    {
        Routing match{.type = number(3),
                      .left = range(4),
                      .length = number(6, 8),
                      .reserved = dice_.one_in(4),
                      .addresses = {},
                      .strict = dice_.one_in(2)};
        if (dice_.one_in(2))
            for (unsigned n = 1 + dice_.below(3); n > 0; --n)
                match.addresses.push_back(address());
        if (match.reserved || !match.addresses.empty()) // or it would be refused
            match.type = Number{0, false};
        result.emplace_back(std::move(match));
    }
};

inline std::unique_ptr<Generator> make_generator(ir::Family family, std::uint64_t seed)
{
    if (family == ir::Family::ipv6)
        return std::make_unique<Generator6>(seed);
    return std::make_unique<Generator>(seed);
}

} // namespace bpfilter::test
