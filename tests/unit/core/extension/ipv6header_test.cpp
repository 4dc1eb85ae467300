// SPDX-License-Identifier: GPL-2.0
//
// -m ipv6header: which headers a packet has.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_ipv6header.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using Ipv6HeaderPackets = NeedsBpf;

TEST(Ipv6Header, AsksAndPrints)
{
    EXPECT_EQ(asked_with("ipv6header", ip6t_ipv6header_info{0x81, 0x80, 1}),
              "header_set & 0x181 = 0x1");
    EXPECT_EQ(asked_with("ipv6header", ip6t_ipv6header_info{0x81, 0, 0}),
              "header_set in 0..255, header_set = 129");
    EXPECT_EQ(asked_with("ipv6header", ip6t_ipv6header_info{0x81, 0xff, 0}),
              "header_set in 0..255, header_set in 130..128");
    EXPECT_EQ(error_with("ipv6header", ip6t_ipv6header_info{0x81, 0x80, 0}), EINVAL);
    EXPECT_EQ(error_with("ipv6header", ip6t_ipv6header_info{0x81, 0xff, 0}), 0);
    EXPECT_EQ(text_with("ipv6header", ip6t_ipv6header_info{0xff, 0, 0}),
              "ipv6header --header "
              "hop-by-hop,ipv6-opts,ipv6-route,ipv6-frag,ah,esp,ipv6-nonxt,protocol");
    EXPECT_EQ(text_with("ipv6header", ip6t_ipv6header_info{0x80, 0xff, 1}),
              "ipv6header ! --header hop-by-hop --soft");
}

TEST_F(Ipv6HeaderPackets, Soft)
{
    using Set = test::HeaderSet;
    CHECK((Matches{Set{Set::hop | Set::destination, 0, true}}),
          {Packet6().hop().options().udp(1, 2), yes}, {Packet6().hop().udp(1, 2), no},
          {Packet6().hop().options().routing(0, 0), yes});
    CHECK((Matches{Set{Set::hop | Set::destination, Set::hop, true}}),
          {Packet6().options().udp(1, 2), yes}, {Packet6().hop().options().udp(1, 2), no},
          {Packet6().udp(1, 2), no});
    CHECK((Matches{Set{0, 0xff, true}}), {Packet6(), yes}, {Packet6().hop(), yes},
          {Packet6().hop(), yes, {}, 6}, {Packet6().hop(), no, {}, 7});
}

TEST_F(Ipv6HeaderPackets, Hard)
{
    using Set = test::HeaderSet;
    CHECK((Matches{Set{Set::protocol, 0, false}}), {Packet6().udp(1, 2), yes},
          {Packet6().hop().udp(1, 2), no}, {Packet6().header(50, {}), no});
    CHECK((Matches{Set{Set::protocol, 0xff, false}}), {Packet6().udp(1, 2), no},
          {Packet6().hop().udp(1, 2), yes});
    CHECK((Matches{Set{Set::none, 0, false}}), {Packet6().header(59, {}), yes},
          {Packet6().header(59, {}).payload(3), yes});
    CHECK((Matches{Set{Set::esp, 0, false}}), {Packet6().header(50, {}).payload(2), yes},
          {Packet6().header(50, {}).payload(1), no}, {Packet6().header(50, {}), no});
    const auto all = static_cast<std::uint8_t>(Set::hop | Set::destination | Set::routing |
                                               Set::fragment | Set::authentication | Set::protocol);
    const Packet6 packet =
        Packet6().hop().options().routing(0, 0).fragment(0, true).authentication(1).udp(1, 2);
    CHECK((Matches{Set{all, 0, false}}), {packet, yes}, {packet, yes, {}, 8},
          {packet, yes, {}, 9}, // cut in the last of them: what is next counts
          {packet, no, {}, 23}, {Packet6().hop().udp(1, 2), no});
    // A later fragment is walked like any other.
    CHECK((Matches{Set{Set::fragment | Set::hop | Set::protocol, 0, false}}),
          {Packet6().fragment(5, false).hop().udp(1, 2), yes});
    CHECK((Matches{Set{Set::hop, 0, false}}), {Packet6().hop().length(9).header(59, {}), yes},
          {Packet6().hop().length(9).header(50, {}), yes},
          {Packet6().hop().length(9).header(17, {}), no});
}

} // namespace

} // namespace bpfilter::test
