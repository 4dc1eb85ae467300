// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/decoding.h"

#include <cerrno>
#include <linux/netfilter_ipv4/ipt_ttl.h>

namespace bpfilter::test {

namespace {

Rule with(std::uint8_t mode, std::uint8_t ttl)
{
    return Rule().match("ttl", 0, bytes_of(ipt_ttl_info{mode, ttl}));
}

TEST(Ttl, Asks)
{
    EXPECT_EQ(asked(with(IPT_TTL_EQ, 5)), "ttl = 5");
    EXPECT_EQ(asked(with(IPT_TTL_NE, 5)), "ttl in 6..4");
    EXPECT_EQ(asked(with(IPT_TTL_LT, 5)), "ttl in 0..4");
    EXPECT_EQ(asked(with(IPT_TTL_GT, 5)), "ttl in 6..255");
    EXPECT_EQ(asked(with(IPT_TTL_LT, 0)), "never");
    EXPECT_EQ(asked(with(IPT_TTL_GT, 255)), "never");
}

TEST(Ttl, PrintsAsIptablesDoes)
{
    const auto text = [](std::uint8_t mode) { return rule_of(with(mode, 5).accept()).text; };
    EXPECT_EQ(text(IPT_TTL_EQ), "-A INPUT -m ttl --ttl-eq 5 -j ACCEPT");
    EXPECT_EQ(text(IPT_TTL_NE), "-A INPUT -m ttl ! --ttl-eq 5 -j ACCEPT");
    EXPECT_EQ(text(IPT_TTL_LT), "-A INPUT -m ttl --ttl-lt 5 -j ACCEPT");
    EXPECT_EQ(text(IPT_TTL_GT), "-A INPUT -m ttl --ttl-gt 5 -j ACCEPT");
}

// 6.1's later updates refuse it, 6.12 lets it match nothing.
TEST(Ttl, AnUnknownModeIsLeftToTheKernel)
{
    const Checked all = checked(Blob().rule("INPUT", with(4, 5)).build());
    EXPECT_EQ(all.error, 0);
    EXPECT_EQ(all.entries.size(), 1U);
}

TEST(Ttl, OfAnotherSizeIsWrong)
{
    EXPECT_EQ(error_of(Rule().match("ttl", 0, std::vector<std::byte>(16, std::byte{4}))), EINVAL);
}

TEST(Ttl, IsOfIpv4)
{
    EXPECT_EQ(error_of(with(0, 5), ir::Family::ipv6), ENOENT);
}

} // namespace

} // namespace bpfilter::test
