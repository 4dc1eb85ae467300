// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/decoding.h"

#include <cerrno>
#include <linux/netfilter/xt_dscp.h>

namespace bpfilter::test {

namespace {

class Dscp : public testing::TestWithParam<ir::Family> {
protected:
    static Rule dscp(const xt_dscp_info &info) { return Rule().match("dscp", 0, bytes_of(info)); }
    static Rule tos(const xt_tos_match_info &info)
    {
        return Rule().match("tos", 1, bytes_of(info));
    }

    [[nodiscard]] std::string asked(const Rule &rule) const
    {
        return test::asked(rule, GetParam());
    }
    [[nodiscard]] std::string text(Rule rule) const
    {
        return rule_of(rule.accept(), GetParam()).text;
    }
};

TEST_P(Dscp, AsksForTheUpperSixBits)
{
    EXPECT_EQ(asked(dscp({.dscp = 10, .invert = 0})), "tos in 40..43");
    EXPECT_EQ(asked(dscp({.dscp = 10, .invert = 1})), "tos in 44..39");
    EXPECT_EQ(asked(dscp({.dscp = 10, .invert = 7})), "tos in 44..39") << "any number inverts";
    EXPECT_EQ(asked(dscp({.dscp = 0, .invert = 0})), "tos in 0..3");
    EXPECT_EQ(asked(dscp({.dscp = 63, .invert = 1})), "tos in 0..251");
}

TEST_P(Dscp, AClassThatIsNotThereIsEdom)
{
    EXPECT_EQ(error_of(dscp({.dscp = 63, .invert = 0}), GetParam()), 0);
    EXPECT_EQ(error_of(dscp({.dscp = 64, .invert = 0}), GetParam()), EDOM);
}

TEST_P(Dscp, TosIsMasked)
{
    EXPECT_EQ(asked(tos({.tos_mask = 0x3f, .tos_value = 0x10, .invert = 0})), "tos & 0x3f = 0x10");
    EXPECT_EQ(asked(tos({.tos_mask = 0x3f, .tos_value = 0x10, .invert = 2})),
              "tos & 0x3f in 0x11..0xf");
    EXPECT_EQ(asked(tos({.tos_mask = 0x0f, .tos_value = 0x10, .invert = 0})), "never");
    EXPECT_EQ(asked(tos({.tos_mask = 0x0f, .tos_value = 0x10, .invert = 1})), "always");
    EXPECT_EQ(asked(tos({.tos_mask = 0, .tos_value = 0, .invert = 0})), "always");
}

TEST_P(Dscp, PrintsAsIptablesDoes)
{
    EXPECT_EQ(text(dscp({.dscp = 10, .invert = 1})), "-A INPUT -m dscp ! --dscp 0x0a -j ACCEPT");
    EXPECT_EQ(text(tos({.tos_mask = 0x3f, .tos_value = 0x10, .invert = 0})),
              "-A INPUT -m tos --tos 0x10/0x3f -j ACCEPT");
}

INSTANTIATE_TEST_SUITE_P(Families, Dscp, testing::Values(ir::Family::ipv4, ir::Family::ipv6));

} // namespace

} // namespace bpfilter::test
