// SPDX-License-Identifier: GPL-2.0
//
// -m udp and -m udplite: ports.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"

#include <netinet/in.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)

using UdpPackets = NeedsBpf;

std::string text_of(const Rule &rule)
{
    return rule_of(rule).text;
}

TEST(Udp, Asks)
{
    EXPECT_EQ(asked(Rule().udp({{1, 2}, {3, 4}, XT_UDP_INV_DSTPT})),
              "protocol = 17, require ports, source_port in 1..2, destination_port in 5..2");
    EXPECT_EQ(error_of(Rule().udp({.invert = 0x04}).accept()), EINVAL);
}

TEST(Udp, UdpLiteIsUdp)
{
    const xt_udp udp{.spts = {1, 2}, .dpts = {3, 4}, .invflags = 0};
    EXPECT_EQ(asked(Rule().protocol(IPPROTO_UDPLITE).match("udplite", 0, bytes_of(udp))),
              "protocol = 136, require ports, source_port in 1..2, destination_port in 3..4");
}

TEST(Udp, Prints)
{
    EXPECT_EQ(text_of(Rule().udp({.sport = {53, 53}, .invert = XT_UDP_INV_SRCPT}).drop()),
              "-A INPUT -p udp -m udp ! --sport 53 -j DROP");
}

TEST_F(UdpPackets, Ports)
{
    Udp match;
    match.destination = {53, 53, false};
    CHECK({match}, {Packet().udp(1, 53), yes}, {Packet().udp(53, 1), no},
          {Packet().udp(1, 53), hotdrop, {}, 1}, {Packet().udp(1, 53).fragment(1, false), no},
          {Packet().udp(1, 53).fragment(0, true), yes});
    match.destination.invert = true;
    CHECK({match}, {Packet().udp(1, 53), no}, {Packet().udp(1, 54), yes});
}

} // namespace

} // namespace bpfilter::test
