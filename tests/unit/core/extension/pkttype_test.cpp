// SPDX-License-Identifier: GPL-2.0
//
// -m pkttype: whom the link layer brought the packet to.
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/key.h"
#include "tests/unit/support/packet6.h"

#include <linux/if_packet.h>
#include <linux/netfilter/xt_pkttype.h>

namespace bpfilter::test {

namespace {

Rule with(int type, int invert = 0)
{
    return Rule().match("pkttype", 0, bytes_of(xt_pkttype_info{type, invert}));
}

TEST(Pkttype, Asks)
{
    EXPECT_EQ(asked(with(PACKET_BROADCAST)), "packet_type = 1");
    EXPECT_EQ(asked(with(PACKET_BROADCAST, 1)), "packet_type in 2..0");
    EXPECT_EQ(asked(with(PACKET_HOST, 1)), "packet_type in 1..7");
    EXPECT_EQ(asked(with(7)), "packet_type = 7");
    EXPECT_EQ(asked(with(8)), "never");
    EXPECT_EQ(asked(with(-1)), "never");
    EXPECT_EQ(asked(with(8, 1)), "always");
    EXPECT_EQ(asked(with(PACKET_HOST, 2)), "always") << "as the kernel's numbers have it";
    EXPECT_EQ(asked(with(PACKET_HOST, -1)), "always");
    EXPECT_EQ(asked(with(PACKET_MULTICAST), family6), "packet_type = 2");
}

TEST(Pkttype, PrintsAsIptablesDoes)
{
    const auto text = [](const Rule &rule) { return rule_of(Rule(rule).accept()).text; };
    EXPECT_EQ(text(with(PACKET_HOST)), "-A INPUT -m pkttype --pkt-type unicast -j ACCEPT");
    EXPECT_EQ(text(with(PACKET_MULTICAST, 1)),
              "-A INPUT -m pkttype ! --pkt-type multicast -j ACCEPT");
    EXPECT_EQ(text(with(3)), "-A INPUT -m pkttype --pkt-type 3 -j ACCEPT");
}

// No test run gives a packet this type.
TEST(Pkttype, LoopedBackIsWhatTheDestinationSays)
{
    ir::Surroundings around;
    around.packet_type = PACKET_LOOPBACK;
    const auto type = [&around](ir::Family family, const PacketBytes &packet) {
        return ir::parse(family, packet, around)[ir::Field::packet_type];
    };
    const auto to = [](const char *address) { return Packet().destination(address).bytes(); };
    EXPECT_EQ(type(ir::Family::ipv4, to("224.0.0.1")), std::uint32_t{PACKET_MULTICAST});
    EXPECT_EQ(type(ir::Family::ipv4, to("239.255.255.255")), std::uint32_t{PACKET_MULTICAST});
    EXPECT_EQ(type(ir::Family::ipv4, to("223.255.255.255")), std::uint32_t{PACKET_BROADCAST});
    EXPECT_EQ(type(ir::Family::ipv4, to("240.0.0.0")), std::uint32_t{PACKET_BROADCAST});
    EXPECT_EQ(type(family6, Packet6().bytes()), std::uint32_t{PACKET_MULTICAST});
}

} // namespace

} // namespace bpfilter::test
