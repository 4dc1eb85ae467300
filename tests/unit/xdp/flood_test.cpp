// SPDX-License-Identifier: GPL-2.0
//
// When a flood begins and ends.
#include "umh/xdp/flood.h"

#include <gtest/gtest.h>

namespace bpfilter::xdp {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t rate = 1000;

class FloodTest : public testing::Test {
protected:
    // A second later, so many more.
    bool after(std::uint64_t packets, std::chrono::milliseconds time = 1s)
    {
        now_ += time;
        dropped_ += packets;
        return flood_.look(now_, table_, dropped_, rate);
    }

    Flood flood_;
    Flood::Clock::time_point now_{1h};
    std::uint64_t table_ = 1;
    std::uint64_t dropped_ = 0;
};

TEST_F(FloodTest, BeginsWithOneSecondAtTheRate)
{
    EXPECT_FALSE(after(1'000'000)) << "since when?";
    EXPECT_FALSE(after(999));
    EXPECT_TRUE(after(1000));
}

TEST_F(FloodTest, ALookTooSoonTellsNothing)
{
    EXPECT_FALSE(after(0));
    EXPECT_FALSE(after(900, 100ms)) << "it may be a burst";
    EXPECT_FALSE(after(50, 900ms)) << "950 in a second";
    EXPECT_TRUE(after(2500, 2s));
}

TEST_F(FloodTest, EndsAfterTenQuietSeconds)
{
    after(0);
    EXPECT_TRUE(after(5000));
    for (int second = 1; second < 10; ++second)
        EXPECT_TRUE(after(249)) << second;
    EXPECT_TRUE(after(250)) << "a quarter is not quiet";
    for (int second = 1; second < 10; ++second)
        EXPECT_TRUE(after(0)) << second;
    EXPECT_FALSE(after(0));
    EXPECT_TRUE(after(1000)) << "it begins again";
}

TEST_F(FloodTest, AnotherTableCountsAnew)
{
    after(0);
    EXPECT_TRUE(after(5000));
    table_ = 2;
    dropped_ = 0;
    EXPECT_TRUE(after(0)) << "no longer quiet than a second";
    EXPECT_TRUE(after(1000));
}

} // namespace
} // namespace bpfilter::xdp
