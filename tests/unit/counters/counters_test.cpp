// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/bpf.h"
#include "umh/counters/counters.h"
#include "umh/load/map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <limits>

namespace bpfilter {
namespace {

class CountersTest : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = test::why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }

    void make(std::uint32_t rules)
    {
        counters_ = std::move(*create_counters_map(rules));
        base_ = std::move(*create_base_map(rules));
    }

    // On each CPU, what `value` says for it.
    template <typename Value> void count(std::uint32_t rule, const Value &value)
    {
        const int cpus = libbpf_num_possible_cpus();
        std::vector<ir::Counters> values;
        for (int cpu = 0; cpu < cpus; ++cpu)
            values.push_back(value(static_cast<std::uint64_t>(cpu)));
        ASSERT_EQ(bpf_map_update_elem(counters_.get(), &rule, values.data(), BPF_ANY), 0);
    }

    std::vector<ir::Counters> read(std::uint32_t rules)
    {
        auto result = read_counters(counters_.get(), base_.get(), rules);
        EXPECT_TRUE(result) << result.error().message;
        return result ? *result : std::vector<ir::Counters>{};
    }

    UniqueFd counters_;
    UniqueFd base_;
};

TEST_F(CountersTest, StartAtZero)
{
    make(5);
    EXPECT_TRUE(read(5) == std::vector<ir::Counters>(5));
    EXPECT_TRUE(read(0).empty());
}

TEST_F(CountersTest, AreTheSumOfAllCpusAndTheBase)
{
    make(3);
    const auto cpus = static_cast<std::uint64_t>(libbpf_num_possible_cpus());
    count(1, [](std::uint64_t cpu) { return ir::Counters{1, 100 + cpu}; });
    const std::vector<ir::Counters> added = {{0, 0}, {7, 1000}, {9, 9}};
    ASSERT_TRUE(add_counters(base_.get(), added));
    ASSERT_TRUE(add_counters(base_.get(), added));
    const auto result = read(3);
    EXPECT_TRUE((result[0] == ir::Counters{}));
    EXPECT_TRUE((result[1] == ir::Counters{14 + cpus, 2000 + 100 * cpus + cpus * (cpus - 1) / 2}));
    EXPECT_TRUE((result[2] == ir::Counters{18, 18}));
}

TEST_F(CountersTest, WrapAround)
{
    make(1);
    const auto most = std::numeric_limits<std::uint64_t>::max();
    ASSERT_TRUE(add_counters(base_.get(), std::vector<ir::Counters>{{5, 5}}));
    ASSERT_TRUE(add_counters(base_.get(), std::vector<ir::Counters>{{most, most - 1}}));
    EXPECT_TRUE((read(1)[0] == ir::Counters{4, 3}));
}

TEST_F(CountersTest, FewerThanTheMapHas)
{
    make(10);
    ASSERT_TRUE(add_counters(base_.get(), std::vector<ir::Counters>{{1, 2}, {3, 4}}));
    const auto result = read(1);
    ASSERT_EQ(result.size(), 1U);
    EXPECT_TRUE((result[0] == ir::Counters{1, 2}));
}

// More than one batch of the kernel's.
TEST_F(CountersTest, ManyRules)
{
    constexpr std::uint32_t rules = 300'000;
    make(rules);
    std::vector<ir::Counters> expected(rules);
    for (std::uint32_t i = 0; i < rules; ++i)
        expected[i] = {i, i * 3ULL};
    ASSERT_TRUE(add_counters(base_.get(), expected));
    count(rules - 1, [](std::uint64_t) { return ir::Counters{1, 1}; });
    const auto cpus = static_cast<std::uint64_t>(libbpf_num_possible_cpus());
    expected[rules - 1] += ir::Counters{cpus, cpus};
    EXPECT_TRUE(read(rules) == expected);
}

TEST_F(CountersTest, SayWhatFailed)
{
    make(1);
    const auto result = read_counters(-1, base_.get(), 1);
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().message.starts_with("cannot read counters"));
    EXPECT_FALSE(add_counters(-1, std::vector<ir::Counters>(1)));
}

} // namespace
} // namespace bpfilter
