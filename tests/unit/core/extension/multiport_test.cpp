// SPDX-License-Identifier: GPL-2.0
//
// -m multiport: ports and ranges of ports.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter/xt_multiport.h>

#include <initializer_list>
#include <netinet/in.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)
#define CHECK6(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using MultiportPackets = NeedsBpf;

constexpr auto source = XT_MULTIPORT_SOURCE;
constexpr auto destination = XT_MULTIPORT_DESTINATION;
constexpr auto either = XT_MULTIPORT_EITHER;

// Ports; a negative one begins a range.
xt_multiport_v1 info(int flags, std::initializer_list<int> ports, int invert = 0)
{
    xt_multiport_v1 info{};
    info.flags = static_cast<std::uint8_t>(flags);
    info.invert = static_cast<std::uint8_t>(invert);
    for (const int port : ports) {
        info.pflags[info.count] = port < 0 ? 1 : 0;
        info.ports[info.count++] = static_cast<std::uint16_t>(port < 0 ? -port : port);
    }
    return info;
}

Rule with(const xt_multiport_v1 &info, std::uint16_t protocol = IPPROTO_UDP)
{
    return Rule().protocol(protocol).match("multiport", 1, bytes_of(info));
}

std::string asked_of(const xt_multiport_v1 &info)
{
    const std::string text = asked(with(info));
    const std::string before = "protocol = 17, require pair";
    EXPECT_EQ(text.substr(0, before.size()), before);
    return text.substr(std::min(text.size(), before.size() + 2));
}

TEST(Multiport, AsksForOneOfThem)
{
    EXPECT_EQ(asked_of(info(destination, {80})), "destination_port = 80");
    EXPECT_EQ(asked_of(info(source, {-5, 9})), "source_port in 5..9");
    EXPECT_EQ(asked_of(info(destination, {80, 443})),
              "destination_port in 80..443, any (destination_port = 80 | destination_port = 443)");
    EXPECT_EQ(asked_of(info(either, {80})), "any (destination_port = 80 | source_port = 80)");
    EXPECT_EQ(asked_of(info(destination, {-0x10000, 65535})), "");
}

TEST(Multiport, NeighboursAreOneRange)
{
    EXPECT_EQ(asked_of(info(destination, {82, 80, 81})), "destination_port in 80..82");
    EXPECT_EQ(asked_of(info(destination, {-80, 90, -85, 100, 101})), "destination_port in 80..101");
    EXPECT_EQ(asked_of(info(destination, {-1, 65535, 3})), "destination_port in 1..65535");
}

TEST(Multiport, InvertedAsksForNoneOfThem)
{
    EXPECT_EQ(asked_of(info(source, {80, 443}, 1)),
              "source_port in 81..79, source_port in 444..442");
    EXPECT_EQ(asked_of(info(either, {80}, 1)), "destination_port in 81..79, source_port in 81..79");
    EXPECT_EQ(asked_of(info(source, {80}, 2)), "") << "as the kernel's numbers have it";
}

TEST(Multiport, OfNoneIsNever)
{
    EXPECT_EQ(asked_of(info(destination, {})), "never");
    EXPECT_EQ(asked_of(info(destination, {}, 1)), "");
}

TEST(Multiport, NeedsAProtocolThatHasPorts)
{
    for (const std::uint16_t protocol : {6, 17, 136, 132, 33})
        EXPECT_EQ(error_of(with(info(source, {1}), protocol)), 0) << protocol;
    for (const std::uint16_t protocol : {0, 1, 58, 256 + 6})
        EXPECT_EQ(error_of(with(info(source, {1}), protocol)), EINVAL) << protocol;
    EXPECT_EQ(error_of(Rule().protocol(6, true).match("multiport", 1, bytes_of(info(source, {1})))),
              EINVAL);
    EXPECT_EQ(error_of(with(info(source, {1})), ir::Family::ipv6), 0);
}

TEST(Multiport, WhatIsNotListedIsRefused)
{
    EXPECT_EQ(error_of(with(info(3, {1}))), EINVAL);
    auto many = info(source, {1});
    many.count = 15;
    EXPECT_EQ(error_of(with(many)), 0);
    many.count = 16;
    EXPECT_EQ(error_of(with(many)), EINVAL);
    EXPECT_EQ(error_of(with(info(source, {1, -2}))), EINVAL) << "a range without an end";
    EXPECT_EQ(error_of(with(info(source, {-1, -2, 3}))), EINVAL);
    EXPECT_EQ(error_of(with(info(source, {-5, 4}))), EINVAL);
    EXPECT_EQ(error_of(with(info(source, {-5, 5}))), 0);
    auto behind = info(source, {1});
    behind.pflags[1] = 1;
    EXPECT_EQ(error_of(with(behind)), 0) << "what is not counted is not looked at";
}

TEST(Multiport, PrintsAsIptablesDoes)
{
    const auto text = [](const xt_multiport_v1 &info) { return rule_of(with(info).accept()).text; };
    EXPECT_EQ(text(info(destination, {80, -443, 445, 22})),
              "-A INPUT -p udp -m multiport --dports 80,443:445,22 -j ACCEPT");
    EXPECT_EQ(text(info(source, {80}, 1)), "-A INPUT -p udp -m multiport ! --sports 80 -j ACCEPT");
    EXPECT_EQ(text(info(either, {1, 2})), "-A INPUT -p udp -m multiport --ports 1,2 -j ACCEPT");
}

constexpr PortRange port(std::uint16_t number)
{
    return {number, number};
}

TEST_F(MultiportPackets, Ports)
{
    using Of = Multiport::Of;
    const std::vector<PortRange> list{port(80), {443, 445}, port(65535)};
    const Multiport to{Of::destination, list};
    CHECK({to}, {Packet().udp(1, 80), yes}, {Packet().udp(80, 1), no}, {Packet().udp(1, 79), no},
          {Packet().udp(1, 81), no}, {Packet().udp(1, 442), no}, {Packet().udp(1, 443), yes},
          {Packet().udp(1, 445), yes}, {Packet().udp(1, 446), no}, {Packet().udp(1, 65535), yes},
          {Packet().udp(1, 0), no});
    const Multiport from{Of::source, list, true};
    CHECK({from}, {Packet().udp(80, 1), no}, {Packet().udp(444, 1), no},
          {Packet().udp(446, 444), yes});
    const Multiport both{Of::either, list};
    CHECK({both}, {Packet().udp(80, 1), yes}, {Packet().udp(1, 444), yes},
          {Packet().udp(1, 2), no});
    const Multiport neither{Of::either, list, true};
    CHECK({neither}, {Packet().udp(80, 1), no}, {Packet().udp(1, 444), no},
          {Packet().udp(1, 2), yes});
}

// Four bytes are enough, whatever the protocol; a later fragment has no ports, not even TCP's.
TEST_F(MultiportPackets, HeadersThatAreCutOff)
{
    const Multiport to{Multiport::Of::destination, {port(80), port(82)}};
    const Matches udp{protocol(IPPROTO_UDP), to};
    CHECK(udp, {Packet().udp(1, 80), yes, {}, 4}, {Packet().udp(1, 80), hotdrop, {}, 5},
          {Packet().udp(1, 80), hotdrop, {}, 8}, {Packet().udp(1, 80).fragment(1, false), no},
          {Packet().udp(1, 80).fragment(0, true), yes}, {Packet().tcp(1, 80), no, {}, 17});
    const Matches tcp{protocol(IPPROTO_TCP), to};
    CHECK(tcp, {Packet().tcp(1, 80), yes, {}, 16}, {Packet().tcp(1, 81), no, {}, 16},
          {Packet().tcp(1, 80), hotdrop, {}, 17}, {Packet().tcp(1, 80), yes},
          {Packet().tcp(1, 80).fragment(1, false), no}, {Packet().udp(1, 80), no, {}, 5});
    CHECK6((Matches{protocol(IPPROTO_TCP), to}), {Packet6().tcp(1, 80), yes, {}, 16},
           {Packet6().tcp(1, 80), yes, {}, 14}, {Packet6().tcp(1, 80), hotdrop, {}, 17},
           {Packet6().fragment(1, false).tcp(1, 80), no},
           {Packet6().fragment(0, true).tcp(1, 82), yes});
    // Beside the match of the protocol, which asks for more.
    CHECK((Matches{protocol(IPPROTO_TCP), to, Tcp{}}), {Packet().tcp(1, 80), yes},
          {Packet().tcp(1, 80), hotdrop, {}, 1}, {Packet().tcp(1, 81), no, {}, 1});
}

} // namespace

} // namespace bpfilter::test
