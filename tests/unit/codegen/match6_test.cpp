// SPDX-License-Identifier: GPL-2.0
//
// What IPv6 rules ask of the fixed header and of the transport header, and the way there.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/packet6.h"

#include <netinet/in.h>

namespace bpfilter {
namespace {

using namespace test;

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using Match6 = NeedsBpf;

Packet6 tcp(std::uint16_t source = 1000, std::uint16_t destination = 80)
{
    return Packet6().tcp(source, destination);
}

// All the headers that the walk steps over.
Packet6 chain()
{
    return Packet6().hop().options().routing(0, 0).authentication(1).options().fragment(0, true);
}

const test::Match all = test::Protocol{0, false};

TEST_F(Match6, Addresses)
{
    CHECK({from("2001:db8::5")}, {Packet6().source("2001:db8::5"), yes},
          {Packet6().source("2001:db8::4"), no}, {Packet6().destination("2001:db8::5"), no},
          {Packet6().source("2001:db8:1::5"), no}, {Packet6().source("2001:db9::5"), no},
          {Packet6().source("2001:db8::1:0:5"), no});
    CHECK({to("2001:db8:0:8000::", 49)}, {Packet6().destination("2001:db8:0:ffff::1"), yes},
          {Packet6().destination("2001:db8::1"), no});
    CHECK({from("fe80::", 10, true)}, {Packet6().source("fe80::1"), no},
          {Packet6().source("::"), yes});
    CHECK({to("::", 0, true)}, {Packet6(), no});
    test::DestinationAddress odd; // a value outside of its mask: ip6_tables does not look at it
    odd.value[15] = std::byte{2};
    CHECK({odd}, {Packet6(), yes});
    odd.mask[15] = std::byte{0xff};
    CHECK({odd}, {Packet6(), yes}, {Packet6().destination("::3"), no});
}

TEST_F(Match6, Devices)
{
    CHECK((Matches{in("eth+"), out("lo", true)}), {Packet6(), yes, {"eth7", ""}},
          {Packet6(), no, {"eth7", "lo"}}, {Packet6(), no, {"lo", ""}});
}

TEST_F(Match6, Protocol)
{
    CHECK({protocol(6)}, {tcp(), yes}, {Packet6().udp(1, 2), no}, {chain().tcp(1, 2), yes});
    CHECK({protocol(6, true)}, {tcp(), no}, {Packet6().udp(1, 2), yes}, {chain().tcp(1, 2), no});
    CHECK({protocol(6 + 256)}, {tcp(), no}, {Packet6().hop(), no},
          {Packet6().hop(), hotdrop, {}, 1});
    CHECK({protocol(6 + 256, true)}, {tcp(), yes}, {Packet6().hop(), hotdrop, {}, 1});
    CHECK({all}, {tcp(), yes}, {Packet6().hop(), yes}, {Packet6().hop(), hotdrop, {}, 1});
    CHECK((Matches{test::Protocol{0, true}}), {tcp(), yes}, {Packet6().hop(), hotdrop, {}, 1});
}

TEST_F(Match6, NoNextHeaderAndEspEndTheWalk)
{
    CHECK({protocol(59)}, {Packet6().header(59, {}), yes}, {Packet6().hop().header(59, {}), yes},
          {Packet6().fragment(7, false).header(59, {}), yes});
    CHECK({protocol(50)}, {Packet6().header(50, {}), yes},
          {Packet6().options().header(50, {}), yes});
    CHECK({protocol(0)}, {Packet6().header(50, {}), yes});
    CHECK({protocol(60)}, {Packet6().options().header(50, {}), no});
}

TEST_F(Match6, HeadersThatAreCutOff)
{
    CHECK({all}, {Packet6().hop(), yes}, {Packet6().hop(), hotdrop, {}, 1},
          {Packet6().hop(), hotdrop, {}, 6}, {Packet6().hop(), hotdrop, {}, 7},
          {Packet6().hop(), hotdrop, {}, 8}, {Packet6().routing(0, 0), hotdrop, {}, 5},
          {Packet6().routing(0, 0), hotdrop, {}, 4}, {Packet6().authentication(1), hotdrop, {}, 1},
          {Packet6().authentication(1), yes}, {Packet6().authentication(1).length(255), hotdrop},
          {Packet6().authentication(1).length(0).header(255, {}), yes},
          {Packet6().hop().length(1), hotdrop}, {Packet6().fragment(0, true), yes},
          {Packet6().fragment(0, true), hotdrop, {}, 1},
          {Packet6().fragment(0, true).length(200), yes}, // it has no length
          {Packet6().fragment(0, true), hotdrop, {}, 5});
}

TEST_F(Match6, LaterFragments)
{
    CHECK({protocol(6)}, {Packet6().fragment(1, false).tcp(1, 2), yes},
          {Packet6().fragment(1, false).tcp(1, 2), yes, {}, 24}, // all but four bytes
          {Packet6().fragment(1, false).tcp(1, 2), hotdrop, {}, 25},
          {Packet6().fragment(1, false).udp(1, 2), no},
          // An extension header follows, and is not in this packet.
          {Packet6().fragment(1, false).hop().tcp(1, 2), hotdrop},
          {Packet6().fragment(1, false).fragment(0, true).tcp(1, 2), hotdrop});
    CHECK((Matches{protocol(6), test::Tcp{}}), {Packet6().fragment(0, true).tcp(1, 2), yes},
          {Packet6().fragment(0, true).tcp(1, 2), hotdrop, {}, 1},
          {Packet6().fragment(1, false).tcp(1, 2), no},
          {Packet6().fragment(1, false).tcp(1, 2), no, {}, 20},
          {Packet6().fragment(0x1fff, true).tcp(1, 2), no});
}

TEST_F(Match6, Transport)
{
    test::Tcp http;
    http.destination = {80, 80, false};
    CHECK((Matches{protocol(6), http}), {tcp(1, 80), yes}, {tcp(80, 1), no},
          {tcp(1, 80), hotdrop, {}, 1}, {chain().tcp(1, 80), yes}, {chain().tcp(1, 81), no},
          {chain().tcp(1, 80), hotdrop, {}, 1});
    http.option = 2;
    const Packet mss = Packet().tcp(1, 80).tcp_options(bytes_of({1, 1, 2, 4, 5, 6, 0, 0}));
    CHECK((Matches{protocol(6), http}), {Packet6().transport_of(mss), yes}, {tcp(1, 80), no},
          {chain().transport_of(mss), yes}, {chain().transport_of(mss), hotdrop, {}, 1});
    test::Udp dns;
    dns.destination = {53, 53, false};
    CHECK((Matches{protocol(17), dns}), {Packet6().udp(1, 53), yes}, {chain().udp(1, 53), yes},
          {chain().udp(1, 54), no}, {chain().udp(1, 53), hotdrop, {}, 1},
          {Packet6().fragment(9, false).udp(1, 53), no});
}

// Decode has it asked always, but a program must not depend on that.
TEST_F(Match6, TransportWithoutProtocol)
{
    test::Udp match;
    match.destination = {2, 2, false};
    CHECK({match}, {Packet6().udp(1, 2), yes}, {chain().udp(1, 2), yes}, {chain().udp(1, 3), no},
          {Packet6().fragment(1, false).udp(1, 2), no}, {Packet6().hop(), hotdrop, {}, 1});
}

TEST_F(Match6, ManyHeaders)
{
    Packet6 packet;
    for (int i = 0; i < 400; ++i)
        packet.options();
    CHECK((Matches{protocol(17), test::Udp{}}), {Packet6(packet).udp(1, 2), yes},
          {Packet6(packet).udp(1, 2), hotdrop, {}, 1}, {Packet6(packet).udp(1, 2), hotdrop, {}, 9});
    CHECK({protocol(17)}, {Packet6(packet).udp(1, 2), yes},
          {Packet6(packet).udp(1, 2), yes, {}, 1});
}

} // namespace
} // namespace bpfilter
