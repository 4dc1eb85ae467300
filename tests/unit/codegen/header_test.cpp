// SPDX-License-Identifier: GPL-2.0
//
// What IPv6 rules ask of extension headers.
#include "tests/unit/codegen/checking.h"
#include "tests/unit/support/packet6.h"

#include <netinet/in.h>

namespace bpfilter {
namespace {

using namespace test;

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using HeaderMatch = NeedsBpf;

PacketBytes route_of(std::initializer_list<const char *> addresses)
{
    PacketBytes rest(4); // reserved
    for (const char *address : addresses) {
        const auto bytes = ipv6(address);
        rest.insert(rest.end(), bytes.begin(), bytes.end());
    }
    return rest;
}

TEST_F(HeaderMatch, HopLimit)
{
    using Test = test::HopLimit::Test;
    const auto with = [](std::uint8_t value) { return Packet6().hop_limit(value); };
    CHECK((Matches{test::HopLimit{Test::equal, 5}}), {with(5), yes}, {with(4), no}, {with(6), no});
    CHECK((Matches{test::HopLimit{Test::not_equal, 5}}), {with(5), no}, {with(4), yes});
    CHECK((Matches{test::HopLimit{Test::less, 5}}), {with(5), no}, {with(4), yes}, {with(6), no});
    CHECK((Matches{test::HopLimit{Test::greater, 5}}), {with(5), no}, {with(4), no},
          {with(6), yes});
    CHECK((Matches{test::HopLimit{Test::greater, 255}}), {with(255), no});
    CHECK((Matches{test::HopLimit{Test::less, 0}}), {with(0), no});
}

TEST_F(HeaderMatch, Mobility)
{
    const auto with = [](int proto, int type) {
        return Packet6().header(135, bytes_of({proto, 0, type, 0, 0, 0, 1, 2}));
    };
    const auto asking = [](test::NumberRange range) {
        return Matches{protocol(135), test::Mobility{range}};
    };
    CHECK(asking({1, 3, false}), {with(59, 0), no}, {with(59, 1), yes}, {with(59, 3), yes},
          {with(59, 4), no}, {with(58, 1), hotdrop}, {with(59, 1), yes, {}, 2},
          {with(59, 1), hotdrop, {}, 3});
    CHECK(asking({1, 3, true}), {with(59, 0), yes}, {with(59, 2), no}, {with(59, 4), yes});
}

TEST_F(HeaderMatch, HeaderSetSoft)
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

TEST_F(HeaderMatch, HeaderSetHard)
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

TEST_F(HeaderMatch, FragmentHeader)
{
    test::FragmentHeader match{.id = {10, 20, false}};
    const auto with = [](std::uint16_t offset, bool more, std::uint32_t id = 15) {
        return Packet6().hop().fragment(offset, more, id).payload(8);
    };
    CHECK({match}, {with(0, true, 9), no}, {with(0, true, 10), yes}, {with(9, true, 20), yes},
          {with(0, true, 21), no}, {with(0, true), yes, {}, 8}, {with(0, true), hotdrop, {}, 9},
          {with(0, true), hotdrop, {}, 12}, {with(0, true), hotdrop, {}, 13}, {Packet6(), no},
          {Packet6().hop(), no}, {Packet6().hop(), hotdrop, {}, 1});
    match.id.invert = true;
    CHECK({match}, {with(0, true, 9), yes}, {with(0, true, 10), no});
    CHECK({test::FragmentHeader{.first = true}}, {with(0, false), yes}, {with(1, true), no});
    CHECK({test::FragmentHeader{.more = true}}, {with(1, true), yes}, {with(1, false), no});
    CHECK({test::FragmentHeader{.last = true}}, {with(1, true), no}, {with(1, false), yes});
    CHECK({test::FragmentHeader{.reserved = true}}, {with(1, true), yes},
          {Packet6().fragment(1, true).length(1), no});
    CHECK((Matches{test::FragmentHeader{.id = {0x80000000, 0xfffffffe}}}),
          {with(0, true, 0x80000000), yes}, {with(0, true, 0xffffffff), no},
          {with(0, true, 0x7fffffff), no});
}

TEST_F(HeaderMatch, WhatIsBehindALaterFragmentIsNotThere)
{
    const Packet6 packet = Packet6().fragment(1, false).authentication(7).udp(1, 2);
    CHECK({test::Authentication{}}, {packet, no}, {packet, no, {}, 24}, {packet, hotdrop, {}, 29});
    CHECK({test::FragmentHeader{}}, {packet, yes});
}

TEST_F(HeaderMatch, Authentication)
{
    test::Authentication match{.spi = {100, 200, false}};
    const auto with = [](std::uint32_t spi, std::uint16_t reserved = 0) {
        return Packet6().authentication(spi, reserved);
    };
    CHECK({match}, {with(99), no}, {with(100), yes}, {with(200), yes}, {with(201), no},
          {Packet6(), no}, {with(100), hotdrop, {}, 1}, {with(100), hotdrop, {}, 10},
          {with(100).length(0).payload(9), yes}, {with(100).length(200), hotdrop},
          {with(100).length(0), yes, {}, 4}, {with(100).length(0), hotdrop, {}, 5});
    match = {.length = test::Number{16, false}};
    CHECK({match}, {with(1), yes}, {with(1).length(1), no});
    match.length->invert = true;
    CHECK({match}, {with(1), no}, {with(1).length(1), yes});
    CHECK({test::Authentication{.reserved = true}}, {with(1), yes}, {with(1, 1), no},
          {with(1, 0x100), no});
}

TEST_F(HeaderMatch, OptionsLength)
{
    test::Options match{.header = test::Options::Header::hop, .length = test::Number{16, false}};
    CHECK({match}, {Packet6().hop(PacketBytes(14)), yes}, {Packet6().hop(), no},
          {Packet6().options(PacketBytes(14)), no},
          {Packet6().hop(PacketBytes(14)), hotdrop, {}, 1},
          {Packet6().options().hop(PacketBytes(14)), yes});
    match.length->invert = true;
    CHECK({match}, {Packet6().hop(PacketBytes(14)), no}, {Packet6().hop(), yes});
}

TEST_F(HeaderMatch, OptionsInOrder)
{
    using Option = test::Options::Option;
    const auto asking = [](std::vector<Option> options) {
        return Matches{test::Options{.header = test::Options::Header::destination,
                                     .options = std::move(options)}};
    };
    const auto with = [](std::initializer_list<int> rest) {
        return Packet6().options(bytes_of(rest));
    };
    CHECK(asking({{5, 2}}), {with({5, 2, 9, 9, 1, 0}), yes}, {with({5, 3, 9, 9, 9, 0}), no},
          {with({1, 0, 5, 2, 9, 9}), no}, {Packet6().hop(bytes_of({5, 2})), no});
    CHECK(asking({{5, 255}, {0, 7}, {0, 255}, {1, 0}}), {with({5, 0, 0, 0, 1, 0}), yes},
          {with({5, 1, 9, 0, 0, 1}), no}, {with({5, 1, 9, 0, 1, 0}), no},
          {with({5, 9, 0, 0, 1, 0}), no});
    // Too long, but the last.
    CHECK(asking({{1, 0}, {5, 200}}), {with({1, 0, 5, 200, 0, 0}), yes});
    CHECK(asking({{1, 0}, {5, 200}, {0, 0}}), {with({1, 0, 5, 200, 0, 0}), no});
    // No room for a length, and one for it.
    CHECK(asking({{1, 3}, {7, 255}}), {with({1, 3, 9, 9, 9, 7}), no},
          {with({1, 2, 9, 9, 7, 7}), no});
    CHECK(asking({{1, 2}, {7, 255}}), {with({1, 2, 9, 9, 7, 7}), yes});
    CHECK(asking(std::vector<Option>(6)), {with({}), yes}, {with({0, 0, 0, 0, 0, 1}), no});
    CHECK(asking(std::vector<Option>(7)), {with({}), no});
    CHECK(asking(std::vector<Option>(16)), {with({}), no}, {Packet6().options(PacketBytes(14)), no},
          {Packet6().options(PacketBytes(22)), yes});
}

TEST_F(HeaderMatch, Routing)
{
    test::Routing match{.left = {1, 2, false}};
    CHECK({match}, {Packet6().routing(0, 0), no}, {Packet6().routing(0, 1), yes},
          {Packet6().routing(9, 2), yes}, {Packet6().routing(0, 3), no}, {Packet6(), no},
          {Packet6().routing(0, 1), hotdrop, {}, 1}, {Packet6().routing(0, 1).length(1), hotdrop});
    match = {.type = test::Number{2, false}, .length = test::Number{8, false}};
    CHECK({match}, {Packet6().routing(2, 0), yes}, {Packet6().routing(1, 0), no},
          {Packet6().routing(2, 0, PacketBytes(12)), no});
    match = {.type = test::Number{2, true}, .length = test::Number{8, true}};
    CHECK({match}, {Packet6().routing(2, 0, PacketBytes(12)), no}, {Packet6().routing(1, 0), no},
          {Packet6().routing(1, 0, PacketBytes(12)), yes});
    match = {.type = test::Number{0, false}, .reserved = true};
    CHECK({match}, {Packet6().routing(0, 0), yes},
          {Packet6().routing(0, 0, bytes_of({0, 0, 0, 1})), no});
}

TEST_F(HeaderMatch, Routes)
{
    const auto with = [](std::initializer_list<const char *> addresses) {
        return Packet6().routing(0, 1, route_of(addresses));
    };
    test::Routing match{.type = test::Number{0, false},
                        .addresses = {ipv6("::1"), ipv6("2001:db8::2")},
                        .strict = true};
    CHECK({match}, {with({"::1", "2001:db8::2"}), yes}, {with({"2001:db8::2", "::1"}), no},
          {with({"::1"}), no}, {with({}), no}, {with({"::1", "2001:db8::2", "::3"}), no},
          {with({"::1", "2001:db8::2"}), hotdrop, {}, 1});
    match.strict = false;
    CHECK({match}, {with({"::1", "2001:db8::2"}), yes}, {with({"2001:db8::2", "::1"}), no},
          {with({"::1"}), no}, {with({}), no}, {with({"::1", "2001:db8::2", "::3"}), yes},
          {with({"::9", "::1", "::1", "::7", "2001:db8::2", "::3"}), yes},
          {with({"::9", "::1", "::1", "::7", "2001:db8::3", "::3"}), no},
          // Half an address is none.
          {with({"::1", "2001:db8::2"}).length(3), no});
    std::vector<test::Address> sixteen(16, ipv6("::5"));
    match.addresses = sixteen;
    PacketBytes rest(4);
    for (int i = 0; i < 127; ++i)
        for (int n = 0; n < 16; ++n)
            rest.push_back(std::byte{static_cast<unsigned char>(n == 15 && i > 110 ? 5 : 0)});
    CHECK({match}, {Packet6().routing(0, 0, rest), yes});
    match.addresses.pop_back();
    match.addresses.push_back(ipv6("::6"));
    CHECK({match}, {Packet6().routing(0, 0, rest), no});
}

TEST_F(HeaderMatch, Eui64)
{
    const Devices ethernet{"eth0", "", BPFILTER_LINK_ETHERNET};
    const auto with = [](const char *source) { return Packet6().source(source); };
    CHECK((Matches{test::Eui64{}}), {with("fe80::11:22ff:fe33:4455"), yes, ethernet},
          {with("fe80::211:22ff:fe33:4455"), no, ethernet},
          {with("fe80::10:22ff:fe33:4455"), no, ethernet},
          {with("fe80::11:22ff:fe33:4454"), no, ethernet},
          {with("fe80::11:22ff:fe33:4555"), no, ethernet},
          {with("fe80::11:22ff:ff33:4455"), no, ethernet},
          {with("fe80::11:22fe:fe33:4455"), no, ethernet},
          {with("fe80::11:22ff:fe33:4455"), no, {"lo", "", BPFILTER_LINK_OTHER}},
          {with("fe80::11:22ff:fe33:4455"), hotdrop, {"eth0", "", BPFILTER_LINK_MISSING}});
}

// The stack is behind the addresses.
TEST_F(HeaderMatch, RoutesInChains)
{
    const auto forward = ir::Hook::forward;
    const test::Match match = test::Routing{
        .type = test::Number{0, false}, .addresses = {ipv6("::1"), ipv6("::2")}, .strict = false};
    TableBuilder builder;
    builder.family(ir::Family::ipv6);
    builder.chain("C", forward, ir::Accept{}).jump({}, "a").rule({match}, ir::Drop{});
    builder.chain("a").jump({}, "b").count({match});
    builder.chain("b").count({match});
    const BuiltTable table = builder.build();
    LoadedHook loaded(table, forward);
    std::vector<ir::Counters> expected(table.rules.size());
    for (const auto &packet : {Packet6().routing(0, 1, route_of({"::1", "::2"})),
                               Packet6().routing(0, 1, route_of({"::1", "::3"}))})
        EXPECT_EQ(loaded.run(packet.bytes(), {}),
                  judge_and_count(table, forward, packet.bytes(), {}, expected));
    EXPECT_TRUE(loaded.counters() == expected);
}

} // namespace
} // namespace bpfilter
