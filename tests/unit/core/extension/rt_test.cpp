// SPDX-License-Identifier: GPL-2.0
//
// -m rt: the routing header.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_rt.h>

#include <arpa/inet.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using RtPackets = NeedsBpf;

constexpr std::uint32_t any = 0xffffffff;

in6_addr address(const char *text)
{
    in6_addr value{};
    EXPECT_EQ(inet_pton(AF_INET6, text, &value), 1);
    return value;
}

PacketBytes route_of(std::initializer_list<const char *> addresses)
{
    PacketBytes rest(4); // reserved
    for (const char *address : addresses) {
        const auto bytes = ipv6(address);
        rest.insert(rest.end(), bytes.begin(), bytes.end());
    }
    return rest;
}

TEST(Rt, AsksAndPrints)
{
    ip6t_rt rt{.rt_type = 0,
               .segsleft = {1, 2},
               .hdrlen = 40,
               .flags = IP6T_RT_TYP | IP6T_RT_LEN | IP6T_RT_RES | IP6T_RT_FST,
               .invflags = 0,
               .addrs = {address("::1"), address("2001:db8::2")},
               .addrnr = 2};
    EXPECT_EQ(text_with("rt", rt), "rt --rt-type 0 --rt-segsleft 1:2 --rt-len 40 --rt-0-res "
                                   "--rt-0-addrs ::1,2001:db8::2");
    EXPECT_EQ(asked_with("rt", rt),
              "require routing, routing_left in 1..2, routing_length = 40, routing_type = 0, "
              "routing_reserved = 0x0, routing_addresses = 2, "
              "route has 00000000:00000000:00000000:00000001 20010db8:00000000:00000000:00000002");

    rt.flags = IP6T_RT_TYP | IP6T_RT_LEN | IP6T_RT_FST | IP6T_RT_FST_NSTRICT;
    rt.invflags = IP6T_RT_INV_SGS | IP6T_RT_INV_LEN;
    rt.addrnr = 1;
    EXPECT_EQ(text_with("rt", rt), "rt --rt-type 0 ! --rt-segsleft 1:2 ! --rt-len 40 "
                                   "--rt-0-addrs ::1 --rt-0-not-strict");
    EXPECT_EQ(asked_with("rt", rt),
              "require routing, routing_left in 3..0, routing_length in 41..39, routing_type = 0, "
              "route has 00000000:00000000:00000000:00000001");
    rt.flags = IP6T_RT_TYP | IP6T_RT_FST_NSTRICT; // without a list it asks nothing
    EXPECT_EQ(asked_with("rt", rt), "require routing, routing_left in 3..0, routing_type = 0");
    rt = {};
    rt.segsleft[1] = any;
    EXPECT_EQ(text_with("rt", rt), "rt");
    rt.rt_type = 2;
    rt.flags = IP6T_RT_TYP;
    rt.invflags = IP6T_RT_INV_TYP;
    EXPECT_EQ(text_with("rt", rt), "rt ! --rt-type 2");
}

TEST(Rt, Refused)
{
    ip6t_rt good{};
    good.flags = IP6T_RT_TYP | IP6T_RT_FST | IP6T_RT_RES;
    good.addrnr = 16;
    const auto error = [&good](auto change) {
        ip6t_rt rt = good;
        change(rt);
        return error_with("rt", rt);
    };
    EXPECT_EQ(error([](ip6t_rt &) {}), 0);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.invflags = 8; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.addrnr = 17; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.addrnr = 0; }), ENOENT) << "as the kernel has it";
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.rt_type = 2; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.invflags = IP6T_RT_INV_TYP; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.flags = IP6T_RT_RES; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.flags = IP6T_RT_FST_NSTRICT; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) {
                  rt.flags = IP6T_RT_TYP | IP6T_RT_FST_NSTRICT;
                  rt.addrnr = 0;
              }),
              ENOENT);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.flags = IP6T_RT_SGS; }), 0);
}

TEST_F(RtPackets, Routing)
{
    Routing match{.left = {1, 2, false}};
    CHECK({match}, {Packet6().routing(0, 0), no}, {Packet6().routing(0, 1), yes},
          {Packet6().routing(9, 2), yes}, {Packet6().routing(0, 3), no}, {Packet6(), no},
          {Packet6().routing(0, 1), hotdrop, {}, 1}, {Packet6().routing(0, 1).length(1), hotdrop});
    match = {.type = Number{2, false}, .length = Number{8, false}};
    CHECK({match}, {Packet6().routing(2, 0), yes}, {Packet6().routing(1, 0), no},
          {Packet6().routing(2, 0, PacketBytes(12)), no});
    match = {.type = Number{2, true}, .length = Number{8, true}};
    CHECK({match}, {Packet6().routing(2, 0, PacketBytes(12)), no}, {Packet6().routing(1, 0), no},
          {Packet6().routing(1, 0, PacketBytes(12)), yes});
    match = {.type = Number{0, false}, .reserved = true};
    CHECK({match}, {Packet6().routing(0, 0), yes},
          {Packet6().routing(0, 0, bytes_of({0, 0, 0, 1})), no});
}

TEST_F(RtPackets, Routes)
{
    const auto with = [](std::initializer_list<const char *> addresses) {
        return Packet6().routing(0, 1, route_of(addresses));
    };
    Routing match{
        .type = Number{0, false}, .addresses = {ipv6("::1"), ipv6("2001:db8::2")}, .strict = true};
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
    match.strict = true;
    match.addresses.pop_back();
    CHECK({match}, {with({"::1", "2001:db8::2"}).length(3), yes}, {with({"::1"}), yes});
    match.strict = false;
    std::vector<Address> sixteen(16, ipv6("::5"));
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

// The stack is behind the addresses.
TEST_F(RtPackets, RoutesInChains)
{
    const auto forward = ir::Hook::forward;
    const Match match =
        Routing{.type = Number{0, false}, .addresses = {ipv6("::1"), ipv6("::2")}, .strict = false};
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

} // namespace bpfilter::test
