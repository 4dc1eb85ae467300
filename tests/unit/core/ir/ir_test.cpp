// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/counters.h"
#include "umh/core/ir/names.h"

#include <gtest/gtest.h>

namespace bpfilter::ir {

namespace {

TEST(Names, OfHooks)
{
    EXPECT_EQ(chain_name(Hook::pre_routing), "PREROUTING");
    EXPECT_EQ(chain_name(Hook::post_routing), "POSTROUTING");
    EXPECT_EQ(hook_names(0), "no hook");
    EXPECT_EQ(hook_names(0x02), "INPUT");
    EXPECT_EQ(hook_names(0x0e), "INPUT/FORWARD/OUTPUT");
}

TEST(Names, OfProtocols)
{
    EXPECT_EQ(protocol_name(6), "tcp");
    EXPECT_EQ(protocol_name(58), "ipv6-icmp");
    EXPECT_EQ(protocol_name(253), "253");
    EXPECT_EQ(protocol_name(256 + 6), "262");
}

TEST(Counters, WrapAround)
{
    Counters counters{5, 500};
    counters += {~0ULL - 1, ~0ULL - 99};
    EXPECT_EQ(counters, (Counters{3, 400}));
}

} // namespace

} // namespace bpfilter::ir
