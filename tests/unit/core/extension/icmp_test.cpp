// SPDX-License-Identifier: GPL-2.0
//
// -m icmp: type and code.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)

using IcmpPackets = NeedsBpf;

std::string text_of(const Rule &rule)
{
    return rule_of(rule).text;
}

TEST(Icmp, Asks)
{
    EXPECT_EQ(asked(Rule().icmp({8, {1, 2}, 0})),
              "protocol = 1, require ports, source_port in 2049..2050");
    EXPECT_EQ(asked(Rule().icmp({8, {1, 2}, IPT_ICMP_INV})),
              "protocol = 1, require ports, source_port in 2051..2048");
    EXPECT_EQ(asked(Rule().icmp({255, {1, 2}, 0})), "protocol = 1, require ports");
    EXPECT_EQ(asked(Rule().icmp({255, {1, 2}, IPT_ICMP_INV})),
              "protocol = 1, require ports, never");
    EXPECT_EQ(error_of(Rule().icmp({.invert = 0x02}).accept()), EINVAL);
}

TEST(Icmp, Prints)
{
    EXPECT_EQ(text_of(Rule().icmp().drop()), "-A INPUT -p icmp -m icmp --icmp-type any -j DROP");
    EXPECT_EQ(text_of(Rule().icmp({.type = 8}).drop()),
              "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP");
    EXPECT_EQ(text_of(Rule().icmp({3, {4, 4}, IPT_ICMP_INV}).drop()),
              "-A INPUT -p icmp -m icmp ! --icmp-type 3/4 -j DROP");
}

TEST_F(IcmpPackets, TypeAndCode)
{
    Icmp match{.type = 3, .code_min = 1, .code_max = 2};
    CHECK({match}, {Packet().icmp(3, 0), no}, {Packet().icmp(3, 1), yes},
          {Packet().icmp(3, 2), yes}, {Packet().icmp(3, 3), no}, {Packet().icmp(4, 1), no},
          {Packet().icmp(3, 1), hotdrop, {}, 1}, {Packet().icmp(3, 1).fragment(9, false), no});
    match.invert = true;
    CHECK({match}, {Packet().icmp(3, 0), yes}, {Packet().icmp(3, 1), no},
          {Packet().icmp(4, 1), yes});
    CHECK(Matches{Icmp{}}, {Packet().icmp(200, 200), yes});
    CHECK((Matches{Icmp{.invert = true}}), {Packet().icmp(200, 200), no},
          {Packet().icmp(1, 1), hotdrop, {}, 1});
}

} // namespace

} // namespace bpfilter::test
