// SPDX-License-Identifier: GPL-2.0
//
// -m length: of the packet.
#include "tests/unit/support/decoding.h"

#include <linux/netfilter/xt_length.h>

namespace bpfilter::test {

namespace {

Rule with(std::uint16_t min, std::uint16_t max, std::uint8_t invert = 0)
{
    return Rule().match("length", 0, bytes_of(xt_length_info{min, max, invert}));
}

TEST(Length, Asks)
{
    EXPECT_EQ(asked(with(40, 100)), "total_length in 0x28..0x64");
    EXPECT_EQ(asked(with(40, 40)), "total_length = 0x28");
    EXPECT_EQ(asked(with(0, 100)), "total_length in 0x0..0x64");
    EXPECT_EQ(asked(with(40, 100, 1)), "total_length in 0x65..0x27");
    EXPECT_EQ(asked(with(0, 65535)), "total_length in 0x0..0xffff") << "there are longer ones";
    EXPECT_EQ(asked(with(0, 65535, 1)), "total_length in 0x10000..0xffffffff");
    EXPECT_EQ(asked(with(5, 4)), "never");
    EXPECT_EQ(asked(with(5, 4, 1)), "always");
    EXPECT_EQ(asked(with(40, 100, 2)), "always") << "as the kernel's numbers have it";
    EXPECT_EQ(asked(with(40, 100), family6), "total_length in 0x28..0x64");
}

TEST(Length, PrintsAsIptablesDoes)
{
    EXPECT_EQ(rule_of(with(40, 100).accept()).text, "-A INPUT -m length --length 40:100 -j ACCEPT");
    EXPECT_EQ(rule_of(with(40, 40, 1).accept()).text, "-A INPUT -m length ! --length 40 -j ACCEPT");
}

TEST(Length, OfAnotherSizeIsWrong)
{
    EXPECT_EQ(error_of(Rule().match("length", 0, std::vector<std::byte>(16))), EINVAL);
}

} // namespace

} // namespace bpfilter::test
