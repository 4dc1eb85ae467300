// SPDX-License-Identifier: GPL-2.0
//
// -m cpu: which one has the packet.
#include "tests/unit/support/decoding.h"

#include <linux/netfilter/xt_cpu.h>

namespace bpfilter::test {

namespace {

Rule with(std::uint32_t cpu, std::uint32_t invert = 0)
{
    return Rule().match("cpu", 0, bytes_of(xt_cpu_info{cpu, invert}));
}

TEST(Cpu, Asks)
{
    EXPECT_EQ(asked(with(1)), "cpu = 0x1");
    EXPECT_EQ(asked(with(1, 1)), "cpu in 0x2..0x0");
    EXPECT_EQ(asked(with(0xffffffff), family6), "cpu = 0xffffffff");
    EXPECT_EQ(error_of(with(1, 2)), EINVAL);
}

TEST(Cpu, PrintsAsIptablesDoes)
{
    EXPECT_EQ(rule_of(with(3, 1).accept()).text, "-A INPUT -m cpu ! --cpu 3 -j ACCEPT");
}

} // namespace

} // namespace bpfilter::test
