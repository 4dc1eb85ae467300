// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of IPv6 entries: what is asked, what is not, what never matches, and
// what ip6tables prints.
#include "tests/unit/support/decoding.h"

#include <arpa/inet.h>

namespace bpfilter::test {

namespace {

constexpr auto ipv6 = ir::Family::ipv6;

std::string asked6(const Rule &rule)
{
    return asked(rule, ipv6);
}

std::string text_of(const Rule &rule)
{
    return rule_of(rule, ipv6).text;
}

TEST(Ipv6, NothingAsked)
{
    EXPECT_EQ(asked6(Rule()), "always");
    EXPECT_EQ(text_of(Rule().accept()), "-A INPUT -j ACCEPT");
}

TEST(Ipv6, Addresses)
{
    EXPECT_EQ(asked6(Rule().source("2001:db8::5/64")), "source = 0x20010db8, source_1 = 0x0");
    EXPECT_EQ(asked6(Rule().source("2001:db8::5/30")), "source in 0x20010db8..0x20010dbb");
    EXPECT_EQ(asked6(Rule().source("2001:db8::5/30", true)), "source in 0x20010dbc..0x20010db7");
    EXPECT_EQ(asked6(Rule().destination("1:2:3:4:5:6:7:8/ffff:0:ffff::1", true)),
              "not (destination in 0x10000..0x1ffff, destination_1 in 0x30000..0x3ffff, "
              "destination_3 & 0x1 = 0x0)");
}

TEST(Ipv6, AddressesUnderNoMask)
{
    EXPECT_EQ(asked6(Rule().source("::/0")), "always");
    EXPECT_EQ(asked6(Rule().source("::/0", true)), "never");
    EXPECT_EQ(asked6(Rule().destination("::/0", true)), "never");
}

TEST(Ipv6, AddressesOutsideTheirMask)
{
    Rule rule = Rule().source("2001::/16");
    rule.ip6().src.s6_addr[15] = 1; // ip6_tables does not look at it
    EXPECT_EQ(asked6(rule), "source in 0x20010000..0x2001ffff");
    rule.ip6().invflags = IP6T_INV_SRCIP;
    EXPECT_EQ(asked6(rule), "source in 0x20020000..0x2000ffff");

    Rule anybody = Rule().destination("::/0");
    anybody.ip6().dst.s6_addr[0] = 1;
    EXPECT_EQ(asked6(anybody), "always");
    anybody.ip6().invflags = IP6T_INV_DSTIP;
    EXPECT_EQ(asked6(anybody), "never");
}

TEST(Ipv6, Interfaces)
{
    EXPECT_EQ(asked6(Rule().in("eth0").out("eth+", true)),
              "in_0 = 0x65746830, in_1 in 0x0..0xffffff, out_0 in 0x65746900..0x657467ff");
    EXPECT_EQ(asked6(Rule().in("+", true)), "never");
}

TEST(Ipv6, Protocols)
{
    EXPECT_EQ(asked6(Rule().protocol(17)), "require transport, protocol = 17");
    EXPECT_EQ(asked6(Rule().protocol(17, true)), "require transport, protocol in 18..16");
    EXPECT_EQ(asked6(Rule().protocol(300, true)), "require transport");
    EXPECT_EQ(asked6(Rule().protocol(300)), "require transport, never");
    EXPECT_EQ(text_of(Rule().protocol(17)), "-A INPUT -p udp");
}

TEST(Ipv6, AnyProtocolIsAskedByTheFlag)
{
    Rule rule = Rule().protocol(0);
    EXPECT_EQ(asked6(rule), "require transport");
    rule.ip6().flags = 0;
    EXPECT_EQ(asked6(rule), "always");
}

// The kernel sets it, and lists it.
TEST(Ipv6, AProtocolIsAskedWithoutTheFlag)
{
    Rule rule = Rule().tcp().accept();
    rule.ip6().flags = IP6T_F_TOS;
    EXPECT_EQ(asked6(rule), "require transport, protocol = 6, require tcp");
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
    EXPECT_EQ(asked6(rule), "always");
    EXPECT_EQ(text_of(rule), "-A INPUT ! -? 8");
}

TEST(Ipv6, AskedInTheOrderOfTheKernel)
{
    EXPECT_EQ(asked6(Rule().out("b+").in("a+").tcp().destination("::1/8").source("::2/8")),
              "source in 0x0..0xffffff, destination in 0x0..0xffffff, "
              "in_0 in 0x61000000..0x61ffffff, out_0 in 0x62000000..0x62ffffff, "
              "require transport, protocol = 6, require tcp");
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
        return ir::text(table.table.rules.at(0).verdict);
    };
    EXPECT_EQ(verdict(IP6T_F_TOS), "jump 6");
    EXPECT_EQ(verdict(IP6T_F_GOTO), "goto 6");
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
