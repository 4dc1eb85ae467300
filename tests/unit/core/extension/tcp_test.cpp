// SPDX-License-Identifier: GPL-2.0
//
// -m tcp: ports, flags, and one option.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)

using TcpPackets = NeedsBpf;

std::string text_of(const Rule &rule)
{
    return rule_of(rule).text;
}

Packet tcp(std::uint16_t source = 1000, std::uint16_t destination = 80)
{
    return Packet().tcp(source, destination);
}

TEST(Tcp, Asks)
{
    EXPECT_EQ(asked(Rule().tcp()), "protocol = 6, require tcp");
    EXPECT_EQ(asked(Rule().tcp({{1, 2}, {3, 4}, 8, 0x17, 0x02, 0x00})),
              "protocol = 6, require tcp, source_port in 1..2, destination_port in 3..4, "
              "flags & 0x17 = 0x2, require tcp_options, tcp_option_kinds_0 & 0x100 = 0x100");
    EXPECT_EQ(asked(Rule().tcp({{1, 2}, {3, 4}, 33, 0x17, 0x02, 0x0f})),
              "protocol = 6, require tcp, source_port in 3..0, destination_port in 5..2, "
              "flags & 0x17 in 0x3..0x1, require tcp_options, tcp_option_kinds_1 & 0x2 = 0x0");
    EXPECT_EQ(asked(Rule().tcp({.dport = {3, 4}, .option = 8, .invert = XT_TCP_INV_OPTION})),
              "protocol = 6, require tcp, destination_port in 3..4, require tcp_options, "
              "tcp_option_kinds_0 & 0x100 = 0x0");
    EXPECT_EQ(error_of(Rule().tcp({.invert = 0x10}).accept()), EINVAL);
    EXPECT_EQ(error_of(Rule().tcp({.invert = 0xf0}).accept()), EINVAL);
}

// A packet without the header is dropped all the same, so it has to be asked for.
TEST(Tcp, ThatNeverMatches)
{
    EXPECT_EQ(asked(Rule().tcp({.dport = {4, 3}})), "protocol = 6, require tcp, never");
    EXPECT_EQ(asked(Rule().tcp({.dport = {4, 3}, .invert = XT_TCP_INV_DSTPT})),
              "protocol = 6, require tcp");
    EXPECT_EQ(asked(Rule().tcp({.flags_mask = 1, .flags = 2})), "protocol = 6, require tcp, never");
}

TEST(Tcp, Prints)
{
    EXPECT_EQ(text_of(Rule().tcp().accept()), "-A INPUT -p tcp -m tcp -j ACCEPT");
    EXPECT_EQ(text_of(Rule().tcp({.dport = {22, 22}}).accept()),
              "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT");
    EXPECT_EQ(text_of(Rule().tcp({.sport = {1, 1023}, .dport = {0, 0xffff}, .invert = 3}).accept()),
              "-A INPUT -p tcp -m tcp ! --sport 1:1023 ! --dport 0:65535 -j ACCEPT");
    EXPECT_EQ(text_of(Rule().tcp({.option = 8, .flags_mask = 0x17, .flags = 0x02}).accept()),
              "-A INPUT -p tcp -m tcp --tcp-option 8 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT");
    EXPECT_EQ(text_of(Rule().tcp({.flags_mask = 0xff, .flags = 0, .invert = 0x0c}).accept()),
              "-A INPUT -p tcp -m tcp ! --tcp-option 0 "
              "! --tcp-flags FIN,SYN,RST,PSH,ACK,URG,0x40,0x80 NONE -j ACCEPT");
}

TEST_F(TcpPackets, Ports)
{
    Tcp match;
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

TEST_F(TcpPackets, Flags)
{
    Tcp syn;
    syn.flags_mask = 0x17;
    syn.flags_value = 0x02;
    CHECK({syn}, {tcp().flags(0x02), yes}, {tcp().flags(0x12), no}, {tcp().flags(0xc2), yes},
          {tcp().flags(0), no});
    syn.flags_invert = true;
    CHECK({syn}, {tcp().flags(0x02), no}, {tcp().flags(0x12), yes});
}

TEST_F(TcpPackets, Options)
{
    Tcp match;
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

TEST_F(TcpPackets, TruncatedAndFragments)
{
    CHECK(Matches{Tcp{}}, {tcp(), yes}, {tcp(), hotdrop, {}, 1}, {tcp(), hotdrop, {}, 20},
          {tcp().fragment(1, false), hotdrop}, {tcp().fragment(2, false), no},
          {tcp().fragment(0, true), yes}, {tcp().fragment(2, false), no, {}, 20});
    // Ports are behind the IP options.
    Tcp http;
    http.destination = {80, 80, false};
    CHECK({http}, {tcp().ip_options(PacketBytes(40, std::byte{1})), yes},
          {tcp().ip_options(PacketBytes(40, std::byte{1})), hotdrop, {}, 1});
    // What is asked before decides whether the header is asked for at all.
    CHECK((Matches{protocol(17), Tcp{}}), {tcp(), no, {}, 1});
}

} // namespace

} // namespace bpfilter::test
