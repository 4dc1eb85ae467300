// SPDX-License-Identifier: GPL-2.0
//
// -m ecn: the two bits of the IP header.
#include "tests/unit/support/decoding.h"

#include <linux/netfilter/xt_ecn.h>

namespace bpfilter::test {

namespace {

Rule with(int operation, int invert, int ect)
{
    xt_ecn_info info{};
    info.operation = static_cast<std::uint8_t>(operation);
    info.invert = static_cast<std::uint8_t>(invert);
    info.ip_ect = static_cast<std::uint8_t>(ect);
    return Rule().protocol(6).match("ecn", 0, bytes_of(info));
}

constexpr int ip = XT_ECN_OP_MATCH_IP;

TEST(Ecn, Asks)
{
    EXPECT_EQ(asked(with(ip, 0, 2)), "protocol = 6, tos & 0x3 = 0x2");
    EXPECT_EQ(asked(with(ip, ip, 2)), "protocol = 6, tos & 0x3 in 0x3..0x1");
    EXPECT_EQ(asked(with(ip, 0, 4)), "protocol = 6, never");
    EXPECT_EQ(asked(with(ip, ip, 4)), "protocol = 6");
    EXPECT_EQ(asked(with(0, 0, 2)), "protocol = 6");
    EXPECT_EQ(asked(with(0, ip, 2)), "protocol = 6");
}

TEST(Ecn, WhatIsUnknownIsRefused)
{
    for (const int bit : {0x02, 0x04, 0x08, 0x40, 0x80}) {
        EXPECT_EQ(error_of(with(ip | bit, 0, 0)), EINVAL) << bit;
        EXPECT_EQ(error_of(with(ip, bit, 0)), EINVAL) << bit;
        EXPECT_EQ(error_of(with(XT_ECN_OP_MATCH_ECE | bit, 0, 0)), EINVAL) << bit;
    }
}

TEST(Ecn, TcpIsLeftToTheKernel)
{
    for (const int operation :
         {XT_ECN_OP_MATCH_ECE, XT_ECN_OP_MATCH_CWR, ip | XT_ECN_OP_MATCH_ECE}) {
        const Payload payload = Blob().rule("INPUT", with(operation, 0, 2)).build();
        const Checked all = checked(payload);
        EXPECT_EQ(all.error, 0);
        EXPECT_EQ(all.entries.size(), 1U);
    }
    EXPECT_TRUE(checked(Blob().rule("INPUT", with(ip, 0, 2)).build()).entries.empty());
}

TEST(Ecn, PrintsAsIptablesDoes)
{
    EXPECT_EQ(rule_of(with(ip, ip, 2).accept()).text,
              "-A INPUT -p tcp -m ecn ! --ecn-ip-ect 2 -j ACCEPT");
}

} // namespace

} // namespace bpfilter::test
