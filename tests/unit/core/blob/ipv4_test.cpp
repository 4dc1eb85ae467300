// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of IPv4 entries: what is asked, what is not, and what never matches.
#include "tests/unit/support/decoding.h"

namespace bpfilter::test {

namespace {

TEST(Ipv4, NothingAsked)
{
    EXPECT_EQ(asked(Rule()), "always");
}

TEST(Ipv4, Addresses)
{
    EXPECT_EQ(asked(Rule().source("10.1.2.3/8")), "source in 0xa000000..0xaffffff");
    EXPECT_EQ(asked(Rule().source("10.1.2.3")), "source = 0xa010203");
    EXPECT_EQ(asked(Rule().source("10.1.2.3", true)), "source in 0xa010204..0xa010202");
    EXPECT_EQ(asked(Rule().destination("10.1.2.3/255.0.255.0")),
              "destination & 0xff00ff00 = 0xa000200");
    EXPECT_EQ(asked(Rule().destination("10.1.2.3/255.0.255.0", true)),
              "destination & 0xff00ff00 in 0xa000201..0xa0001ff");
}

TEST(Ipv4, AddressesUnderNoMask)
{
    EXPECT_EQ(asked(Rule().source("0.0.0.0/0")), "always");
    EXPECT_EQ(asked(Rule().source("0.0.0.0/0", true)), "never");
    EXPECT_EQ(asked(Rule().destination("0.0.0.0/0", true)), "never");
}

TEST(Ipv4, AddressesOutsideTheirMask)
{
    Rule rule = Rule().source("10.0.0.0/8");
    rule.ip().src.s_addr = 0x0100000a;
    EXPECT_EQ(asked(rule), "never");
    rule.ip().invflags = IPT_INV_SRCIP;
    EXPECT_EQ(asked(rule), "always"); // always
}

TEST(Ipv4, Interfaces)
{
    EXPECT_EQ(asked(Rule().in("eth0")), "in_0 = 0x65746830, in_1 in 0x0..0xffffff");
    EXPECT_EQ(asked(Rule().in("eth0", true)), "not (in_0 = 0x65746830, in_1 in 0x0..0xffffff)");
    EXPECT_EQ(asked(Rule().out("eth+")), "out_0 in 0x65746800..0x657468ff");
    EXPECT_EQ(asked(Rule().out("eth+", true)), "out_0 in 0x65746900..0x657467ff");
}

TEST(Ipv4, InterfacesUnderNoMask)
{
    EXPECT_EQ(asked(Rule().in("+")), "always");
    EXPECT_EQ(asked(Rule().in("+", true)), "never");
    EXPECT_EQ(asked(Rule().out("+", true)), "never");
}

TEST(Ipv4, InterfaceBytesOutsideTheMaskAreNotAsked)
{
    Rule rule = Rule().in("eth+");
    rule.ip().iniface[3] = 'X';
    rule.ip().iniface_mask[0] = 0x0f;
    EXPECT_EQ(asked(rule), "in_0 & 0xfffff00 = 0x5746800");
}

TEST(Ipv4, Protocols)
{
    EXPECT_EQ(asked(Rule().protocol(17)), "protocol = 17");
    EXPECT_EQ(asked(Rule().protocol(17, true)), "protocol in 18..16");
    EXPECT_EQ(asked(Rule().protocol(255)), "protocol = 255");
    EXPECT_EQ(asked(Rule().protocol(255, true)), "protocol in 0..254");
}

TEST(Ipv4, ProtocolZeroAsksNothingEvenInverted)
{
    EXPECT_EQ(asked(Rule().protocol(0, true)), "always");
}

TEST(Ipv4, ProtocolsThatNoHeaderCanHold)
{
    EXPECT_EQ(asked(Rule().protocol(256)), "never");
    EXPECT_EQ(asked(Rule().protocol(256, true)), "always");
}

TEST(Ipv4, Fragments)
{
    EXPECT_EQ(asked(Rule().fragment()), "fragment in 1..8191");
    EXPECT_EQ(asked(Rule().fragment(true)), "fragment = 0");
    Rule rule;
    rule.ip().invflags = IPT_INV_FRAG;
    EXPECT_EQ(asked(rule), "never");
}

TEST(Ipv4, TypeOfServiceIsNotAsked)
{
    Rule rule;
    rule.ip().invflags = IPT_INV_TOS;
    EXPECT_EQ(asked(rule), "always");
}

TEST(Ipv4, AskedInTheOrderOfTheKernel)
{
    EXPECT_EQ(
        asked(Rule().fragment().out("b+").in("a+").tcp().destination("1.1.1.1").source("2.2.2.2")),
        "source = 0x2020202, destination = 0x1010101, in_0 in 0x61000000..0x61ffffff, "
        "out_0 in 0x62000000..0x62ffffff, protocol = 6, fragment in 1..8191, require tcp");
}

TEST(Ipv4, WhatNeverMatchesAsksNothingElse)
{
    EXPECT_EQ(asked(Rule().in("+", true).source("1.1.1.1").tcp()), "never");
}

} // namespace

} // namespace bpfilter::test
