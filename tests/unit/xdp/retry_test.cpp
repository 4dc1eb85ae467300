// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/retry.h"

#include <gtest/gtest.h>

namespace bpfilter::xdp {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t mode = 1;
const Retries::Clock::time_point start{};

TEST(Retries, WhatFailsIsTriedEverLessOften)
{
    Retries retries;
    retries.begin(1, mode);
    EXPECT_FALSE(retries.waiting("eth0", start));
    auto now = start;
    for (const int wait : {2, 4, 8, 16, 16, 16}) {
        retries.put_off("eth0", now, now, 0);
        EXPECT_TRUE(retries.waiting("eth0", now + seconds(wait - 1))) << wait;
        EXPECT_FALSE(retries.waiting("eth0", now + seconds(wait))) << wait;
        EXPECT_FALSE(retries.waiting("eth1", now)) << "another";
        now += seconds(wait);
    }
    retries.forget("eth0");
    retries.put_off("eth0", now, now, 0);
    EXPECT_FALSE(retries.waiting("eth0", now + seconds(2))) << "it had succeeded meanwhile";
}

TEST(Retries, WhatTakesLongLeavesTimeForAllOthers)
{
    Retries retries;
    retries.begin(1, mode);
    const auto end = start + seconds(6);
    for (int i = 0; i < 2; ++i) {
        retries.put_off("eth0", start, end, 0);
        EXPECT_TRUE(retries.waiting("eth0", end + seconds(6 * 64 - 1)));
        EXPECT_FALSE(retries.waiting("eth0", end + seconds(6 * 64)));
    }
}

TEST(Retries, AtOnceForAnotherTableOrMode)
{
    Retries retries;
    retries.begin(1, mode);
    retries.put_off("eth0", start, start, 0);
    retries.begin(1, mode);
    EXPECT_TRUE(retries.waiting("eth0", start));
    retries.begin(2, mode);
    EXPECT_FALSE(retries.waiting("eth0", start));
    retries.put_off("eth0", start, start, 0);
    retries.begin(2, mode + 1);
    EXPECT_FALSE(retries.waiting("eth0", start));
}

TEST(Retries, WhatIsRuledOutIsSoWhateverChanges)
{
    Retries retries;
    retries.begin(1, mode);
    retries.put_off("eth0", start, start, 5);
    retries.rule_out("eth1");
    const auto late = start + std::chrono::hours(1000);
    EXPECT_FALSE(retries.waiting("eth0", late));
    ASSERT_TRUE(retries.waiting("eth1", late));
    EXPECT_FALSE(retries.waiting("eth1", late)->has_news(6));
    ASSERT_TRUE(retries.waiting("eth0", start));
    EXPECT_TRUE(retries.waiting("eth0", start)->has_news(6));
    EXPECT_FALSE(retries.waiting("eth0", start)->has_news(5));
    retries.begin(2, mode);
    EXPECT_FALSE(retries.waiting("eth1", start));
}

} // namespace
} // namespace bpfilter::xdp
