// SPDX-License-Identifier: GPL-2.0
//
// Each match of IPv4 at each hook.
#include "tests/unit/codegen/checking.h"

#include <netinet/in.h>

namespace bpfilter {
namespace {

using namespace test;

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)

using Match = NeedsBpf;

Packet tcp(std::uint16_t source = 1000, std::uint16_t destination = 80)
{
    return Packet().tcp(source, destination);
}

TEST_F(Match, Source)
{
    CHECK({from("10.1.2.3")}, {Packet().source("10.1.2.3"), yes}, {Packet().source("10.1.2.4"), no},
          {Packet().destination("10.1.2.3"), no});
    CHECK({from("10.1.2.0", 23)}, {Packet().source("10.1.3.255"), yes},
          {Packet().source("10.1.4.0"), no});
    CHECK({from("10.0.0.0", 8, true)}, {Packet().source("10.255.0.1"), no},
          {Packet().source("11.0.0.1"), yes});
    CHECK({from("0.0.0.0", 0, true)}, {Packet(), no});
    test::SourceAddress odd; // a value outside of its mask
    odd.value[0] = std::byte{10};
    CHECK({odd}, {Packet().source("10.0.0.0"), no});
}

TEST_F(Match, SourceWithAScatteredMask)
{
    test::SourceAddress odd;
    odd.mask = {std::byte{255}, std::byte{0}, std::byte{255}, std::byte{0}};
    odd.value = {std::byte{10}, std::byte{0}, std::byte{7}, std::byte{0}};
    CHECK({odd}, {Packet().source("10.99.7.99"), yes}, {Packet().source("10.99.8.99"), no});
}

TEST_F(Match, Destination)
{
    CHECK({to("10.1.2.3")}, {Packet().destination("10.1.2.3"), yes}, {Packet(), no},
          {Packet().source("10.1.2.3"), no});
    CHECK({to("10.1.2.3", 32, true)}, {Packet().destination("10.1.2.3"), no}, {Packet(), yes});
}

TEST_F(Match, Devices)
{
    CHECK({in("eth0")}, {Packet(), yes, {"eth0", ""}}, {Packet(), no, {"eth01", ""}},
          {Packet(), no, {"eth", ""}}, {Packet(), no, {"", "eth0"}});
    CHECK({out("averylongname15")}, {Packet(), yes, {"", "averylongname15"}},
          {Packet(), no, {"", "averylongname1"}}, {Packet(), no, {"averylongname15", ""}});
    CHECK({in("eth+")}, {Packet(), yes, {"eth", ""}}, {Packet(), yes, {"eth27", ""}},
          {Packet(), no, {"et", ""}});
    CHECK({in("eth0", true)}, {Packet(), no, {"eth0", ""}}, {Packet(), yes, {"eth1", ""}},
          {Packet(), yes, {"", ""}});
    CHECK({out("+")}, {Packet(), yes}, {Packet(), yes, {"", "any"}});
    CHECK({out("+", true)}, {Packet(), no}, {Packet(), no, {"", "any"}});
}

TEST_F(Match, Protocol)
{
    CHECK({protocol(6)}, {tcp(), yes}, {Packet().udp(1, 2), no});
    CHECK({protocol(6, true)}, {tcp(), no}, {Packet().udp(1, 2), yes});
    CHECK({protocol(6 + 256)}, {tcp(), no});
    CHECK({protocol(6 + 256, true)}, {tcp(), yes});
}

TEST_F(Match, Fragment)
{
    CHECK({test::Fragment{}}, {Packet(), no}, {Packet().fragment(0, true), no},
          {Packet().fragment(1, true), yes}, {Packet().fragment(0x1fff, false), yes});
    CHECK({test::Fragment{true}}, {Packet().fragment(0, true), yes},
          {Packet().fragment(0x100, false), no});
}

TEST_F(Match, Never)
{
    CHECK({test::Never{}}, {Packet(), no}, {tcp(), no});
}

TEST_F(Match, TcpPorts)
{
    test::Tcp match;
    match.destination = {80, 80, false};
    CHECK({match}, {tcp(1, 80), yes}, {tcp(80, 1), no}, {tcp(1, 0x5000), no});
    match.destination = {1000, 2000, false};
    CHECK({match}, {tcp(1, 999), no}, {tcp(1, 1000), yes}, {tcp(1, 2000), yes}, {tcp(1, 2001), no});
    match.destination.invert = true;
    CHECK({match}, {tcp(1, 999), yes}, {tcp(1, 1000), no}, {tcp(1, 2000), no}, {tcp(1, 2001), yes});
    match.destination = {0, 0xffff, true};
    CHECK({match}, {tcp(), no});
    match = {};
    match.source = {5, 5, true};
    CHECK({match}, {tcp(5, 6), no}, {tcp(6, 5), yes});
}

TEST_F(Match, TcpFlags)
{
    test::Tcp syn;
    syn.flags_mask = 0x17;
    syn.flags_value = 0x02;
    CHECK({syn}, {tcp().flags(0x02), yes}, {tcp().flags(0x12), no}, {tcp().flags(0xc2), yes},
          {tcp().flags(0), no});
    syn.flags_invert = true;
    CHECK({syn}, {tcp().flags(0x02), no}, {tcp().flags(0x12), yes});
}

TEST_F(Match, TcpOptions)
{
    test::Tcp match;
    match.option = 2;
    const PacketBytes mss = bytes_of({1, 1, 2, 4, 5, 6, 0, 0});
    const PacketBytes skipped = bytes_of({8, 6, 2, 2, 2, 2, 1, 1}); // inside of another
    CHECK({match}, {tcp().tcp_options(mss), yes}, {tcp(), no}, {tcp().tcp_options(skipped), no},
          {tcp().tcp_options(bytes_of({3, 0, 2, 9})), yes}, // length 0 counts as 1
          {tcp().tcp_options(bytes_of({9, 200, 2, 2})), no},
          {tcp().tcp_options(bytes_of({1, 1, 1, 2})), yes},
          {tcp().tcp_options(mss).data_offset(4), hotdrop},
          {tcp().tcp_options(mss).data_offset(8), hotdrop},
          {tcp().tcp_options(mss), hotdrop, {}, 1});
    match.option_invert = true;
    CHECK({match}, {tcp().tcp_options(mss), no}, {tcp(), yes}, {tcp().data_offset(4), hotdrop});
    match = {};
    match.option = 255;
    PacketBytes full(40, std::byte{1});
    full.back() = std::byte{255};
    CHECK({match}, {tcp().tcp_options(full), yes}, {tcp().tcp_options(mss), no});
}

TEST_F(Match, TcpTruncatedAndFragments)
{
    CHECK(Matches{test::Tcp{}}, {tcp(), yes}, {tcp(), hotdrop, {}, 1}, {tcp(), hotdrop, {}, 20},
          {tcp().fragment(1, false), hotdrop}, {tcp().fragment(2, false), no},
          {tcp().fragment(0, true), yes}, {tcp().fragment(2, false), no, {}, 20});
    // Ports are behind the IP options.
    test::Tcp http;
    http.destination = {80, 80, false};
    CHECK({http}, {tcp().ip_options(PacketBytes(40, std::byte{1})), yes},
          {tcp().ip_options(PacketBytes(40, std::byte{1})), hotdrop, {}, 1});
    // What is asked before decides whether the header is asked for at all.
    CHECK((Matches{protocol(17), test::Tcp{}}), {tcp(), no, {}, 1});
}

TEST_F(Match, Udp)
{
    test::Udp match;
    match.destination = {53, 53, false};
    CHECK({match}, {Packet().udp(1, 53), yes}, {Packet().udp(53, 1), no},
          {Packet().udp(1, 53), hotdrop, {}, 1}, {Packet().udp(1, 53).fragment(1, false), no},
          {Packet().udp(1, 53).fragment(0, true), yes});
    match.destination.invert = true;
    CHECK({match}, {Packet().udp(1, 53), no}, {Packet().udp(1, 54), yes});
}

TEST_F(Match, Icmp)
{
    test::Icmp match{.type = 3, .code_min = 1, .code_max = 2};
    CHECK({match}, {Packet().icmp(3, 0), no}, {Packet().icmp(3, 1), yes},
          {Packet().icmp(3, 2), yes}, {Packet().icmp(3, 3), no}, {Packet().icmp(4, 1), no},
          {Packet().icmp(3, 1), hotdrop, {}, 1}, {Packet().icmp(3, 1).fragment(9, false), no});
    match.invert = true;
    CHECK({match}, {Packet().icmp(3, 0), yes}, {Packet().icmp(3, 1), no},
          {Packet().icmp(4, 1), yes});
    CHECK(Matches{test::Icmp{}}, {Packet().icmp(200, 200), yes});
    CHECK((Matches{test::Icmp{.invert = true}}), {Packet().icmp(200, 200), no},
          {Packet().icmp(1, 1), hotdrop, {}, 1});
}

} // namespace
} // namespace bpfilter
