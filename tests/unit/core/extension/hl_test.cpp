// SPDX-License-Identifier: GPL-2.0
//
// -m hl: the hop limit.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_hl.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using HlPackets = NeedsBpf;

TEST(Hl, AsksAndPrints)
{
    const auto with = [](std::uint8_t mode) { return ip6t_hl_info{mode, 5}; };
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_EQ)), "ttl = 5");
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_NE)), "ttl in 6..4");
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_LT)), "ttl in 0..4");
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_GT)), "ttl in 6..255");
    EXPECT_EQ(asked_with("hl", ip6t_hl_info{IP6T_HL_LT, 0}), "never");
    EXPECT_EQ(asked_with("hl", ip6t_hl_info{IP6T_HL_GT, 255}), "never");
    EXPECT_EQ(error_with("hl", with(4)), ENOENT) << "as the kernel has it";
    EXPECT_EQ(text_with("hl", with(IP6T_HL_EQ)), "hl --hl-eq 5");
    EXPECT_EQ(text_with("hl", with(IP6T_HL_NE)), "hl ! --hl-eq 5");
    EXPECT_EQ(text_with("hl", with(IP6T_HL_LT)), "hl --hl-lt 5");
    EXPECT_EQ(text_with("hl", with(IP6T_HL_GT)), "hl --hl-gt 5");
}

TEST_F(HlPackets, HopLimit)
{
    using Test = HopLimit::Test;
    const auto with = [](std::uint8_t value) { return Packet6().hop_limit(value); };
    CHECK((Matches{HopLimit{Test::equal, 5}}), {with(5), yes}, {with(4), no}, {with(6), no});
    CHECK((Matches{HopLimit{Test::not_equal, 5}}), {with(5), no}, {with(4), yes});
    CHECK((Matches{HopLimit{Test::less, 5}}), {with(5), no}, {with(4), yes}, {with(6), no});
    CHECK((Matches{HopLimit{Test::greater, 5}}), {with(5), no}, {with(4), no}, {with(6), yes});
    CHECK((Matches{HopLimit{Test::greater, 255}}), {with(255), no});
    CHECK((Matches{HopLimit{Test::less, 0}}), {with(0), no});
}

} // namespace

} // namespace bpfilter::test
