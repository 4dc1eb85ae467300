// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of IPv4 entries: what is asked, what is not, and what never matches.
#include "tests/unit/support/decoding.h"

namespace bpfilter::test {

namespace {

using Matches = std::vector<ir::Match>;

Matches matches_of(Rule rule)
{
    return rule_of(rule.accept()).matches;
}

ir::Address address(int a, int b, int c, int d)
{
    return {static_cast<std::byte>(a), static_cast<std::byte>(b), static_cast<std::byte>(c),
            static_cast<std::byte>(d)};
}

ir::InterfaceName name(std::string_view text)
{
    ir::InterfaceName value{};
    std::ranges::copy(text, value.begin());
    return value;
}

ir::InterfaceName mask(std::size_t bytes)
{
    ir::InterfaceName value{};
    std::fill_n(value.begin(), bytes, static_cast<char>(0xff));
    return value;
}

const Matches never{ir::Never{}};

TEST(Ipv4, NothingAsked)
{
    EXPECT_EQ(matches_of(Rule()), Matches{});
}

TEST(Ipv4, Addresses)
{
    EXPECT_EQ(matches_of(Rule().source("10.1.2.3/8")),
              Matches{(ir::SourceAddress{address(10, 0, 0, 0), address(255, 0, 0, 0), false})});
    EXPECT_EQ(
        matches_of(Rule().destination("10.1.2.3/255.0.255.0", true)),
        Matches{(ir::DestinationAddress{address(10, 0, 2, 0), address(255, 0, 255, 0), true})});
}

TEST(Ipv4, AddressesUnderNoMask)
{
    EXPECT_EQ(matches_of(Rule().source("0.0.0.0/0")), Matches{});
    EXPECT_EQ(matches_of(Rule().source("0.0.0.0/0", true)), never);
    EXPECT_EQ(matches_of(Rule().destination("0.0.0.0/0", true)), never);
}

TEST(Ipv4, AddressesOutsideTheirMask)
{
    Rule rule = Rule().source("10.0.0.0/8");
    rule.ip().src.s_addr = 0x0100000a;
    EXPECT_EQ(matches_of(rule), never);
    rule.ip().invflags = IPT_INV_SRCIP;
    EXPECT_EQ(matches_of(rule), Matches{}); // always
}

TEST(Ipv4, Interfaces)
{
    EXPECT_EQ(matches_of(Rule().in("eth0")),
              Matches{(ir::InInterface{name("eth0"), mask(5), false})});
    EXPECT_EQ(matches_of(Rule().out("eth+", true)),
              Matches{(ir::OutInterface{name("eth"), mask(3), true})});
}

TEST(Ipv4, InterfacesUnderNoMask)
{
    EXPECT_EQ(matches_of(Rule().in("+")), Matches{});
    EXPECT_EQ(matches_of(Rule().in("+", true)), never);
    EXPECT_EQ(matches_of(Rule().out("+", true)), never);
}

TEST(Ipv4, InterfaceBytesOutsideTheMaskAreNotAsked)
{
    Rule rule = Rule().in("eth+");
    rule.ip().iniface[3] = 'X';
    rule.ip().iniface_mask[0] = 0x0f;
    auto expected = mask(3);
    expected[0] = 0x0f;
    EXPECT_EQ(matches_of(rule), Matches{(ir::InInterface{name("\x05th"), expected, false})});
}

TEST(Ipv4, Protocols)
{
    EXPECT_EQ(matches_of(Rule().protocol(17)), Matches{(ir::Protocol{17, false})});
    EXPECT_EQ(matches_of(Rule().protocol(17, true)), Matches{(ir::Protocol{17, true})});
    EXPECT_EQ(matches_of(Rule().protocol(255)), Matches{(ir::Protocol{255, false})});
}

TEST(Ipv4, ProtocolZeroAsksNothingEvenInverted)
{
    EXPECT_EQ(matches_of(Rule().protocol(0, true)), Matches{});
}

TEST(Ipv4, ProtocolsThatNoHeaderCanHold)
{
    EXPECT_EQ(matches_of(Rule().protocol(256)), never);
    EXPECT_EQ(matches_of(Rule().protocol(256, true)), Matches{});
}

TEST(Ipv4, Fragments)
{
    EXPECT_EQ(matches_of(Rule().fragment()), Matches{ir::Fragment{false}});
    EXPECT_EQ(matches_of(Rule().fragment(true)), Matches{ir::Fragment{true}});
    Rule rule;
    rule.ip().invflags = IPT_INV_FRAG;
    EXPECT_EQ(matches_of(rule), never);
}

TEST(Ipv4, TypeOfServiceIsNotAsked)
{
    Rule rule;
    rule.ip().invflags = IPT_INV_TOS;
    EXPECT_EQ(matches_of(rule), Matches{});
}

TEST(Ipv4, AskedInTheOrderOfTheKernel)
{
    const auto matches = matches_of(
        Rule().fragment().out("b").in("a").tcp().destination("1.1.1.1").source("2.2.2.2"));
    ASSERT_EQ(matches.size(), 7U);
    EXPECT_TRUE(std::holds_alternative<ir::SourceAddress>(matches[0]));
    EXPECT_TRUE(std::holds_alternative<ir::DestinationAddress>(matches[1]));
    EXPECT_TRUE(std::holds_alternative<ir::InInterface>(matches[2]));
    EXPECT_TRUE(std::holds_alternative<ir::OutInterface>(matches[3]));
    EXPECT_TRUE(std::holds_alternative<ir::Protocol>(matches[4]));
    EXPECT_TRUE(std::holds_alternative<ir::Fragment>(matches[5]));
    EXPECT_TRUE(std::holds_alternative<ir::Tcp>(matches[6]));
}

TEST(Ipv4, WhatNeverMatchesAsksNothingElse)
{
    EXPECT_EQ(matches_of(Rule().in("+", true).source("1.1.1.1").tcp()), never);
}

} // namespace

} // namespace bpfilter::test
