// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/decoding.h"

#include <cerrno>
#include <linux/netfilter/xt_mark.h>

namespace bpfilter::test {

namespace {

class Mark : public testing::TestWithParam<ir::Family> {
protected:
    static Rule match(const xt_mark_mtinfo1 &info)
    {
        return Rule().match("mark", 1, bytes_of(info));
    }
    static Rule set(const xt_mark_tginfo2 &info)
    {
        return Rule().target("MARK", 2, bytes_of(info));
    }

    [[nodiscard]] std::string asked(const xt_mark_mtinfo1 &info) const
    {
        return test::asked(match(info), GetParam());
    }
    [[nodiscard]] std::string text(const Rule &rule) const
    {
        const std::string text = rule_of(rule, GetParam()).text;
        return text.substr(std::string("-A INPUT ").size());
    }
};

TEST_P(Mark, AsksForTheMarkUnderItsMask)
{
    EXPECT_EQ(asked({5, 0xffffffff, 0}), "mark = 0x5");
    EXPECT_EQ(asked({5, 0xffffffff, 1}), "mark in 0x6..0x4");
    EXPECT_EQ(asked({0x40, 0xc0, 0}), "mark & 0xc0 = 0x40");
    EXPECT_EQ(asked({0x40, 0xc0, 1}), "mark & 0xc0 in 0x41..0x3f");
    EXPECT_EQ(asked({0x10000, 0xffff0000, 0}), "mark in 0x10000..0x1ffff");
    EXPECT_EQ(asked({0, 0, 0}), "always");
    EXPECT_EQ(asked({0, 0, 1}), "never");
    EXPECT_EQ(asked({0x41, 0x40, 0}), "never") << "bits outside the mask";
    EXPECT_EQ(asked({0x41, 0x40, 1}), "always");
}

// The kernel's is (mark & mask == value) ^ invert, of numbers.
TEST_P(Mark, AnInversionThatIsNeither0Nor1Holds)
{
    EXPECT_EQ(asked({5, 0xff, 2}), "always");
    EXPECT_EQ(asked({5, 0xff, 0xff}), "always");
}

TEST_P(Mark, IsSetAsTheKernelDoes)
{
    const auto verdict = [](const xt_mark_tginfo2 &info) {
        return ir::text(rule_of(set(info), GetParam()).verdict);
    };
    EXPECT_EQ(verdict({0x1, 0xff}), "set mark & 0xffffff00 ^ 0x1");
    EXPECT_EQ(verdict({0x101, 0xff}), "set mark & 0xffffff00 ^ 0x101")
        << "bits outside are flipped";
    EXPECT_EQ(verdict({0, 0}), "set mark & 0xffffffff ^ 0x0");
}

TEST_P(Mark, PrintsAsIptablesDoes)
{
    EXPECT_EQ(text(match({0x5, 0xffffffff, 0}).accept()), "-m mark --mark 0x5 -j ACCEPT");
    EXPECT_EQ(text(match({0x0, 0xff, 1}).accept()), "-m mark ! --mark 0x0/0xff -j ACCEPT");
    EXPECT_EQ(text(set({0x1, 0xffffffff})), "-j MARK --set-xmark 0x1/0xffffffff");
}

// Other revisions are the kernel's to know, or not.
TEST_P(Mark, HasOneRevisionAndSize)
{
    const auto error = [](const Rule &rule) { return error_of(rule, GetParam()); };
    const std::vector<std::byte> bytes(16);
    EXPECT_EQ(error(Rule().match("mark", 0, bytes)), ENOENT);
    EXPECT_EQ(error(Rule().match("mark", 1, bytes)), 0);
    EXPECT_EQ(error(Rule().match("mark", 1, std::vector<std::byte>(8))), EINVAL);
    EXPECT_EQ(error(Rule().target("MARK", 1, bytes)), ENOENT);
    EXPECT_EQ(error(Rule().target("MARK", 2, bytes)), EINVAL);
    EXPECT_EQ(error(Rule().target("MARK", 2, std::vector<std::byte>(8))), 0);
}

INSTANTIATE_TEST_SUITE_P(Families, Mark, testing::Values(ir::Family::ipv4, ir::Family::ipv6));

} // namespace

} // namespace bpfilter::test
