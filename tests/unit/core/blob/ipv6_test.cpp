// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of IPv6 entries: what is asked, what is not, what never matches, and
// what ip6tables prints.
#include "tests/unit/support/decoding.h"

#include <arpa/inet.h>

namespace bpfilter::test {

namespace {

using Matches = std::vector<ir::Match>;

constexpr auto ipv6 = ir::Family::ipv6;

Matches matches_of(Rule rule)
{
    return rule_of(rule.accept(), ipv6).matches;
}

std::string text_of(const Rule &rule)
{
    return rule_of(rule, ipv6).text;
}

ir::Address address(const char *text)
{
    ir::Address value{};
    EXPECT_EQ(inet_pton(AF_INET6, text, value.data()), 1);
    return value;
}

const Matches never{ir::Never{}};

TEST(Ipv6, NothingAsked)
{
    EXPECT_EQ(matches_of(Rule()), Matches{});
    EXPECT_EQ(text_of(Rule().accept()), "-A INPUT -j ACCEPT");
}

TEST(Ipv6, Addresses)
{
    EXPECT_EQ(matches_of(Rule().source("2001:db8::5/64")),
              Matches{(ir::SourceAddress{address("2001:db8::"), address("ffff:ffff:ffff:ffff::"),
                                         false})});
    EXPECT_EQ(
        matches_of(Rule().destination("1:2:3:4:5:6:7:8/ffff:0:ffff::1", true)),
        Matches{(ir::DestinationAddress{address("1:0:3::"), address("ffff:0:ffff::1"), true})});
}

TEST(Ipv6, AddressesUnderNoMask)
{
    EXPECT_EQ(matches_of(Rule().source("::/0")), Matches{});
    EXPECT_EQ(matches_of(Rule().source("::/0", true)), never);
    EXPECT_EQ(matches_of(Rule().destination("::/0", true)), never);
}

TEST(Ipv6, AddressesOutsideTheirMask)
{
    Rule rule = Rule().source("2001::/16");
    rule.ip6().src.s6_addr[15] = 1; // ip6_tables does not look at it
    EXPECT_EQ(matches_of(rule),
              Matches{(ir::SourceAddress{address("2001::"), address("ffff::"), false})});
    rule.ip6().invflags = IP6T_INV_SRCIP;
    EXPECT_EQ(matches_of(rule),
              Matches{(ir::SourceAddress{address("2001::"), address("ffff::"), true})});

    Rule anybody = Rule().destination("::/0");
    anybody.ip6().dst.s6_addr[0] = 1;
    EXPECT_EQ(matches_of(anybody), Matches{});
    anybody.ip6().invflags = IP6T_INV_DSTIP;
    EXPECT_EQ(matches_of(anybody), never);
}

TEST(Ipv6, Interfaces)
{
    const auto matches = matches_of(Rule().in("eth0").out("eth+", true));
    ASSERT_EQ(matches.size(), 2U);
    EXPECT_EQ(std::get<ir::InInterface>(matches[0]).mask[4], static_cast<char>(0xff));
    EXPECT_TRUE(std::get<ir::OutInterface>(matches[1]).invert);
    EXPECT_EQ(matches_of(Rule().in("+", true)), never);
}

TEST(Ipv6, Protocols)
{
    EXPECT_EQ(matches_of(Rule().protocol(17)), Matches{(ir::Protocol{17, false})});
    EXPECT_EQ(matches_of(Rule().protocol(17, true)), Matches{(ir::Protocol{17, true})});
    EXPECT_EQ(matches_of(Rule().protocol(300, true)), Matches{(ir::Protocol{300, true})});
    EXPECT_EQ(text_of(Rule().protocol(17)), "-A INPUT -p udp");
}

TEST(Ipv6, AnyProtocolIsAskedByTheFlag)
{
    Rule rule = Rule().protocol(0);
    EXPECT_EQ(matches_of(rule), Matches{(ir::Protocol{0, false})});
    rule.ip6().flags = 0;
    EXPECT_EQ(matches_of(rule), Matches{});
}

// The kernel sets it, and lists it.
TEST(Ipv6, AProtocolIsAskedWithoutTheFlag)
{
    Rule rule = Rule().tcp().accept();
    rule.ip6().flags = IP6T_F_TOS;
    EXPECT_EQ(matches_of(rule), (Matches{ir::Protocol{6, false}, ir::Tcp{}}));
    const auto table = decoded(Blob(ipv6).rule("INPUT", rule).build());
    EXPECT_EQ(load<std::uint8_t>(table.entries, offsetof(ip6t_ip6, flags)),
              IP6T_F_PROTO | IP6T_F_TOS);
    rule.ip6().invflags = IP6T_INV_PROTO;
    EXPECT_EQ(error_of(rule, ipv6), EINVAL);
    rule.ip6().invflags = 0;
    rule.ip6().proto = 0;
    EXPECT_EQ(error_of(rule, ipv6), EINVAL);
}

TEST(Ipv6, WhatIsNotAsked)
{
    Rule rule;
    rule.ip6().flags = IP6T_F_TOS;
    rule.ip6().tos = 8;
    rule.ip6().invflags = IP6T_INV_TOS | IP6T_INV_FRAG;
    EXPECT_EQ(matches_of(rule), Matches{});
    EXPECT_EQ(text_of(rule), "-A INPUT ! -? 8");
}

TEST(Ipv6, AskedInTheOrderOfTheKernel)
{
    const auto matches = matches_of(Rule().out("b").in("a").tcp().destination("::1").source("::2"));
    ASSERT_EQ(matches.size(), 6U);
    EXPECT_TRUE(std::holds_alternative<ir::SourceAddress>(matches[0]));
    EXPECT_TRUE(std::holds_alternative<ir::DestinationAddress>(matches[1]));
    EXPECT_TRUE(std::holds_alternative<ir::InInterface>(matches[2]));
    EXPECT_TRUE(std::holds_alternative<ir::OutInterface>(matches[3]));
    EXPECT_TRUE(std::holds_alternative<ir::Protocol>(matches[4]));
    EXPECT_TRUE(std::holds_alternative<ir::Tcp>(matches[5]));
}

TEST(Ipv6, Flags)
{
    const auto with = [](std::size_t offset, std::uint8_t value) {
        Payload payload = Blob(ipv6).rule("INPUT", Rule().accept()).build();
        payload.put_entry(0, offset, value);
        return error_of(payload);
    };
    EXPECT_EQ(with(offsetof(ip6t_ip6, flags), 7), 0);
    EXPECT_EQ(with(offsetof(ip6t_ip6, flags), 8), EINVAL);
    EXPECT_EQ(with(offsetof(ip6t_ip6, invflags), 0x7f), 0);
    EXPECT_EQ(with(offsetof(ip6t_ip6, invflags), 0x80), EINVAL);
}

TEST(Ipv6, GotoIsAnotherFlag)
{
    const auto verdict = [](std::uint8_t flags) {
        Rule rule = Rule().jump("c1");
        rule.ip6().flags = flags;
        const auto table =
            decoded(Blob(ipv6).chain("c1").rule("INPUT", rule).rule("INPUT", Rule()).build());
        return std::get<ir::Jump>(table.table.rules.at(0).verdict);
    };
    EXPECT_TRUE(verdict(IP6T_F_TOS).push);
    EXPECT_FALSE(verdict(IP6T_F_GOTO).push);
}

TEST(Ipv6, Text)
{
    EXPECT_EQ(text_of(Rule().source("2001:db8::/32", true).destination("::1").drop()),
              "-A INPUT ! -s 2001:db8::/32 -d ::1/128 -j DROP");
    EXPECT_EQ(text_of(Rule().source("1::2/ffff::ff").drop()), "-A INPUT -s 1::2/ffff::ff -j DROP");
    EXPECT_EQ(text_of(Rule().source("::/0", true).drop()), "-A INPUT ! -s ::/0 -j DROP");
    EXPECT_EQ(text_of(Rule().in("lo").out("eth+", true).tcp({.dport = {22, 22}}).accept()),
              "-A INPUT -i lo ! -o eth+ -p tcp -m tcp --dport 22 -j ACCEPT");
    EXPECT_EQ(text_of(Rule().protocol(44, true).accept()), "-A INPUT ! -p ipv6-frag -j ACCEPT");
}

TEST(Ipv6, IcmpText)
{
    EXPECT_EQ(text_of(Rule().icmp6({.type = 128}).accept()),
              "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT");
    EXPECT_EQ(text_of(Rule().icmp6({1, {4, 4}, IP6T_ICMP_INV}).accept()),
              "-A INPUT -p ipv6-icmp -m icmp6 ! --icmpv6-type 1/4 -j ACCEPT");
}

TEST(Ipv6, IcmpIsOfItsFamily)
{
    EXPECT_EQ(error_of(Rule().icmp6()), ENOENT);
    EXPECT_EQ(error_of(Rule().icmp(), ipv6), ENOENT);
    EXPECT_EQ(error_of(Rule().icmp6({.invert = 2}), ipv6), EINVAL);
    Rule wrong = Rule().icmp6();
    wrong.protocol(IPPROTO_ICMP);
    EXPECT_EQ(error_of(wrong, ipv6), EINVAL);
}

TEST(Ipv6, ListsWhatWasSent)
{
    Payload payload = Blob(ipv6)
                          .chain("c1")
                          .rule("INPUT", Rule().source("2001:db8::/32").tcp().jump("c1"))
                          .rule("c1", Rule().icmp6({.type = 3}).returns())
                          .build();
    const auto table = decoded(payload);
    EXPECT_EQ(table.table.family, ipv6);
    std::vector<std::byte> expected(payload.bytes.begin() + sizeof(ip6t_replace),
                                    payload.bytes.end());
    const std::vector<std::uint32_t> reach{2, 2, 4, 8, 0, 2, 2, 0}; // foot and end are last
    for (std::size_t id = 0; id < reach.size(); ++id)
        store(expected, table.offsets[id] + offsetof(ip6t_entry, comefrom), reach[id]);
    EXPECT_EQ(table.entries, expected);
}

} // namespace

} // namespace bpfilter::test
