// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/decoding.h"

#include "umh/core/blob/table.h"

#include <cerrno>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

namespace bpfilter::test {

namespace {

constexpr std::uint16_t established = XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED);
constexpr std::uint16_t related = XT_CONNTRACK_STATE_BIT(IP_CT_RELATED);
constexpr std::uint16_t fresh = XT_CONNTRACK_STATE_BIT(IP_CT_NEW);

class Conntrack : public testing::TestWithParam<ir::Family> {
protected:
    static Rule match(std::uint16_t states, bool invert = false,
                      std::uint16_t flags = XT_CONNTRACK_STATE)
    {
        xt_conntrack_mtinfo3 info{};
        info.match_flags = flags;
        info.invert_flags = invert ? XT_CONNTRACK_STATE : 0;
        info.state_mask = states;
        return Rule().match("conntrack", 3, bytes_of(info));
    }

    [[nodiscard]] std::string asked(std::uint16_t states, bool invert = false) const
    {
        return test::asked(match(states, invert), GetParam());
    }
};

TEST_P(Conntrack, NeighboursAreARange)
{
    EXPECT_EQ(asked(established), "connection = 2");
    EXPECT_EQ(asked(established | related), "connection in 2..4");
    EXPECT_EQ(asked(established | related, true), "connection in 5..1");
    EXPECT_EQ(asked(fresh | XT_CONNTRACK_STATE_UNTRACKED), "connection in 8..256");
    EXPECT_EQ(asked(XT_CONNTRACK_STATE_INVALID), "connection = 1");
}

TEST_P(Conntrack, OthersAreBits)
{
    EXPECT_EQ(asked(established | fresh), "connection & 0xa in 0x1..0xffffffff");
    EXPECT_EQ(asked(established | fresh, true), "connection & 0xa = 0x0");
    EXPECT_EQ(asked(XT_CONNTRACK_STATE_DNAT), "translation & 0x80 in 0x1..0xffffffff");
    EXPECT_EQ(asked(fresh | XT_CONNTRACK_STATE_DNAT),
              "any (connection = 8 | translation & 0x80 in 0x1..0xffffffff)");
    EXPECT_EQ(asked(fresh | XT_CONNTRACK_STATE_DNAT, true),
              "connection & 0x8 = 0x0, translation & 0x80 = 0x0");
}

TEST_P(Conntrack, NoStateIsNoPackets)
{
    EXPECT_EQ(asked(0), "never");
    EXPECT_EQ(asked(0, true), "always");
}

TEST_P(Conntrack, WhatElseItCanAskIsTheKernels)
{
    for (const std::uint16_t more :
         {XT_CONNTRACK_STATUS, XT_CONNTRACK_PROTO, XT_CONNTRACK_EXPIRES, XT_CONNTRACK_DIRECTION})
        EXPECT_EQ(test::asked(match(established, false, XT_CONNTRACK_STATE | more), GetParam()),
                  "kernel 0");
    EXPECT_EQ(test::asked(match(established, false, XT_CONNTRACK_STATUS), GetParam()), "kernel 0");
}

TEST_P(Conntrack, PrintsAsIptablesDoes)
{
    EXPECT_EQ(rule_of(match(established | related).accept(), GetParam()).text,
              "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
}

TEST_P(Conntrack, TheKernelChecksIt)
{
    const auto payload = Blob(GetParam()).rule("INPUT", match(established).accept()).build();
    std::vector<blob::KernelEntry> checks;
    const auto layout = blob::find_layout(GetParam());
    const auto table = blob::decode_replace(payload.bytes, 0, **layout, checks);
    ASSERT_TRUE(table) << table.error().message;
    EXPECT_EQ(checks.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Families, Conntrack, testing::Values(ir::Family::ipv4, ir::Family::ipv6));

} // namespace

} // namespace bpfilter::test
