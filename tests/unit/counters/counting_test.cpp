// SPDX-License-Identifier: GPL-2.0
//
// Where a table counts, as data: in an arena, while it is in force, and from then on in its tally.
#include "tests/unit/support/bpf.h"
#include "umh/counters/counting.h"
#include "umh/load/map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <unistd.h>

namespace bpfilter {
namespace {

constexpr std::uint32_t rules = 300; // more than a page of counters
constexpr TallyPlace place{.place = 4096 + 64, .stride = rules * 16 + 64, .cpus = 3};

template <typename T> T need(Result<T> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    return std::move(*result);
}

class CountingTest : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = test::why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
        constexpr std::uint32_t size = 1 << 16;
        arena_ = need(create_memory_map("bf_arena", size));
        memory_ = need(Mapping::of(arena_.get(), 0, size, true));
        tally_ = need(create_memory_map("bf_tally", static_cast<std::uint32_t>(tally_size(rules))));
        counting_ = need(Counting::of_data(arena_.get(), tally_.get(), -1, rules, place));
    }

    // As a packet on this CPU is counted.
    void count(std::uint32_t cpu, std::uint32_t rule, ir::Counters added)
    {
        std::byte *at = memory_.bytes().data() + place.place + std::size_t{cpu} * place.stride +
                        std::size_t{rule} * sizeof(ir::Counters);
        ir::Counters value;
        std::memcpy(&value, at, sizeof(value));
        value += added;
        std::memcpy(at, &value, sizeof(value));
    }

    // As another table that is written there.
    void overwrite() { std::memset(memory_.bytes().data() + 4096, 0xee, 3 * place.stride + 64); }

    std::vector<UniqueFd> kept(int early = -1) const
    {
        std::vector<UniqueFd> fds;
        fds.emplace_back(dup(arena_.get()));
        fds.emplace_back(dup(tally_.get()));
        if (early >= 0)
            fds.emplace_back(dup(early));
        return fds;
    }

    UniqueFd arena_;
    UniqueFd tally_;
    Mapping memory_;
    Counting counting_;
};

TEST_F(CountingTest, IsTheSumOfAllCpusAndOfWhatWasAdded)
{
    count(0, 0, {1, 10});
    count(2, 0, {2, 20});
    count(1, rules - 1, {5, 50});
    std::vector<ir::Counters> added(rules);
    added[0] = {100, 1000};
    ASSERT_TRUE(counting_.add(added));
    ASSERT_TRUE(counting_.add(added));
    auto expected = std::vector<ir::Counters>(rules);
    expected[0] = {203, 2030};
    expected[rules - 1] = {5, 50};
    EXPECT_TRUE(need(counting_.read(rules)) == expected);
    const auto fds = kept();
    EXPECT_TRUE(need(need(Counting::of_kept(fds)).read(rules)) == expected) << "as kept";
}

TEST_F(CountingTest, OfMoreRulesThanItHasIsNotRead)
{
    EXPECT_EQ(counting_.read(rules + 1).error().code, EIO);
    EXPECT_EQ(counting_.add(std::vector<ir::Counters>(rules - 1)).error().code, EIO);
}

TEST_F(CountingTest, WhatLeftTheArenaIsReadInTheTally)
{
    count(0, 7, {1, 10});
    std::vector<ir::Counters> added(rules);
    added[7] = {100, 1000};
    ASSERT_TRUE(counting_.add(added));
    ArenaLeave leave = need(counting_.leave_arena());
    count(2, 7, {2, 20});
    count(2, rules - 1, {4, 40});
    leave.finish();
    overwrite();
    auto expected = std::vector<ir::Counters>(rules);
    expected[7] = {103, 1030};
    expected[rules - 1] = {4, 40};
    EXPECT_TRUE(need(counting_.read(rules)) == expected);
    const auto fds = kept();
    EXPECT_TRUE(need(need(Counting::of_kept(fds)).read(rules)) == expected) << "as kept";
}

TEST_F(CountingTest, WhoDoesNotLeaveAfterAllGoesOnCounting)
{
    count(0, 7, {1, 10});
    {
        const ArenaLeave leave = need(counting_.leave_arena());
    }
    count(0, 7, {1, 10});
    EXPECT_TRUE(need(counting_.read(rules))[7] == (ir::Counters{2, 20}));
}

TEST_F(CountingTest, WhatDevicesCountIsAdded)
{
    const UniqueFd early = need(create_counters_map(rules));
    const std::uint32_t rule = 3;
    const std::vector<ir::Counters> values(static_cast<std::size_t>(libbpf_num_possible_cpus()),
                                           {1, 7});
    ASSERT_EQ(bpf_map_update_elem(early.get(), &rule, values.data(), BPF_ANY), 0);
    EXPECT_EQ(counting_.open_counters().error().code, ENOENT);
    const auto counting =
        need(Counting::of_data(arena_.get(), tally_.get(), early.get(), rules, place));
    EXPECT_TRUE(counting.open_counters());
    count(0, rule, {1, 10});
    const ir::Counters expected{1 + values.size(), 10 + 7 * values.size()};
    EXPECT_TRUE(need(counting.read(rules))[rule] == expected);
    const auto fds = kept(early.get());
    EXPECT_TRUE(need(need(Counting::of_kept(fds)).read(rules))[rule] == expected) << "as kept";
}

TEST_F(CountingTest, APlaceOutsideOfTheArenaIsNotRead)
{
    const TallyPlace outside{.place = (1 << 16) - 64, .stride = place.stride, .cpus = 3};
    const auto counting = need(Counting::of_data(arena_.get(), tally_.get(), -1, rules, outside));
    EXPECT_EQ(counting.read(rules).error().code, EIO);
    EXPECT_EQ(counting.leave_arena().error().code, EIO);
    const TallyPlace narrow{.place = 64, .stride = rules * 16 - 16, .cpus = 3};
    const auto other = need(Counting::of_data(arena_.get(), tally_.get(), -1, rules, narrow));
    EXPECT_EQ(other.read(rules).error().code, EIO);
}

} // namespace
} // namespace bpfilter
