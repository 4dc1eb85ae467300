// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/retry.h"

#include <gtest/gtest.h>

namespace bpfilter::xdp {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t mode = 1;
const Retries::Clock::time_point start{};

class RetriesTest : public testing::Test {
protected:
    RetriesTest()
    {
        retries.begin(1, mode);
        retries.see(5);
    }

    [[nodiscard]] bool may(const char *device, Retries::Clock::time_point now) const
    {
        return retries.turn(device, now).may;
    }
    [[nodiscard]] bool fresh(const char *device) const { return retries.turn(device, start).fresh; }

    Retries retries;
};

TEST_F(RetriesTest, WhatFailsIsTriedEverLessOften)
{
    EXPECT_TRUE(may("eth0", start));
    auto now = start;
    for (const int wait : {2, 4, 8, 16, 16, 16}) {
        retries.put_off("eth0", now, now);
        EXPECT_FALSE(may("eth0", now + seconds(wait - 1))) << wait;
        EXPECT_TRUE(may("eth0", now + seconds(wait))) << wait;
        EXPECT_TRUE(may("eth1", now)) << "another";
        now += seconds(wait);
    }
    retries.forget("eth0");
    retries.put_off("eth0", now, now);
    EXPECT_TRUE(may("eth0", now + seconds(2))) << "it had succeeded meanwhile";
}

TEST_F(RetriesTest, WhatTakesLongLeavesTimeForAllOthers)
{
    const auto end = start + seconds(6);
    for (int i = 0; i < 2; ++i) {
        retries.put_off("eth0", start, end);
        EXPECT_FALSE(may("eth0", end + seconds(6 * 64 - 1)));
        EXPECT_TRUE(may("eth0", end + seconds(6 * 64)));
    }
}

TEST_F(RetriesTest, AtOnceForAnotherTableOrMode)
{
    retries.put_off("eth0", start, start);
    retries.begin(1, mode);
    EXPECT_FALSE(may("eth0", start));
    retries.begin(2, mode);
    EXPECT_TRUE(may("eth0", start));
    retries.put_off("eth0", start, start);
    retries.begin(2, mode + 1);
    EXPECT_TRUE(may("eth0", start));
}

TEST_F(RetriesTest, WhatATryItselfChangesIsNoNews)
{
    EXPECT_TRUE(fresh("eth0")) << "it has not been tried";
    retries.put_off("eth0", start, start);
    EXPECT_FALSE(fresh("eth0"));
    retries.see(6);
    EXPECT_FALSE(fresh("eth0")) << "by the try";
    retries.see(6);
    EXPECT_FALSE(fresh("eth0"));
    retries.see(7);
    EXPECT_TRUE(fresh("eth0")) << "by somebody else";
}

TEST_F(RetriesTest, WhatIsRuledOutIsSoWhateverChanges)
{
    retries.rule_out("eth0");
    retries.see(6);
    retries.see(7);
    EXPECT_FALSE(may("eth0", start + std::chrono::hours(1000)));
    EXPECT_FALSE(fresh("eth0"));
    retries.begin(2, mode);
    EXPECT_TRUE(may("eth0", start));
}

} // namespace
} // namespace bpfilter::xdp
