// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/random.h"
#include "tests/unit/support/seed.h"
#include "umh/core/records/allocator.h"

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>
#include <optional>
#include <utility>
#include <vector>

namespace {

bool no_memory = false;

} // namespace

[[gnu::noinline]] void *operator new(std::size_t size)
{
    void *memory = no_memory ? nullptr : std::malloc(size);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

[[gnu::noinline]] void operator delete(void *memory) noexcept
{
    std::free(memory);
}

[[gnu::noinline]] void operator delete(void *memory, std::size_t /*size*/) noexcept
{
    std::free(memory);
}

namespace bpfilter::records {
namespace {

TEST(Allocator, GivesWhatFitsAndTakesItBack)
{
    Allocator allocator(1, 64 * 11);
    EXPECT_TRUE(allocator.is_empty());
    const auto first = allocator.take(1);
    const auto second = allocator.take(64 * 9);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(*first, 64U); // behind what is not given away
    EXPECT_EQ(*second, 128U);
    EXPECT_EQ(allocator.take(1), std::nullopt);
    allocator.cut(*second + 64 * 2, 64 * 7); // the end of it
    EXPECT_EQ(allocator.take(64 * 7), 128U + 64 * 2);
    EXPECT_FALSE(allocator.is_empty());
}

TEST(Allocator, JoinsWhatIsFree)
{
    Allocator allocator(0, 64 * 8);
    std::vector<std::uint32_t> places;
    for (int i = 0; i < 8; ++i)
        places.push_back(allocator.take(64).value());
    for (const int i : {1, 3, 2, 0, 7, 5, 6, 4})
        allocator.give(places[static_cast<std::size_t>(i)], 64);
    EXPECT_TRUE(allocator.is_empty());
    EXPECT_EQ(allocator.take(64 * 8), 0U);
}

// What is given back must not end the helper, and what cannot be taken is there the next time.
TEST(Allocator, NeedsNoMemoryToGiveBack)
{
    constexpr std::uint32_t lines = 64;
    Allocator allocator(0, 64 * lines);
    std::vector<std::uint32_t> places;
    for (std::uint32_t i = 0; i < lines / 2; ++i) {
        places.push_back(allocator.take(128).value());
        if (i % 3 == 0)
            allocator.cut(places.back() + 64, 64);
    }
    no_memory = true;
    for (std::uint32_t i = 0; i < lines / 2; i += 2)
        allocator.give(places[i], i % 3 == 0 ? 64 : 128);
    for (std::uint32_t i = 1; i < lines / 2; i += 2)
        allocator.give(places[i], i % 3 == 0 ? 64 : 128);
    std::optional<std::uint32_t> taken;
    bool refused = false;
    try {
        taken = allocator.take(64);
    } catch (const std::bad_alloc &) {
        refused = true;
    }
    no_memory = false;
    EXPECT_TRUE(refused && !taken);
    EXPECT_TRUE(allocator.is_empty());
    EXPECT_EQ(allocator.take(64 * lines), 0U);
}

// Whatever is taken and given: no two overlap, and in the end all is there again.
TEST(Allocator, NeverGivesTheSameTwice)
{
    test::Dice dice(test::seed());
    constexpr std::uint32_t size = 64 * 1000;
    Allocator allocator(64, size);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> taken;
    for (int i = 0; i < 20000; ++i) {
        if (!taken.empty() && dice.one_in(2)) {
            std::swap(taken[dice.below(static_cast<unsigned>(taken.size()))], taken.back());
            allocator.give(taken.back().first, taken.back().second);
            taken.pop_back();
            continue;
        }
        const std::uint32_t wanted = 1 + dice.below(64 * 40);
        const auto place = allocator.take(wanted);
        if (!place)
            continue;
        ASSERT_GE(*place, 64U);
        ASSERT_LE(*place + wanted, size);
        for (const auto &[other, length] : taken)
            ASSERT_TRUE(*place + wanted <= other || other + length <= *place);
        taken.emplace_back(*place, wanted);
    }
    for (const auto &[place, length] : taken)
        allocator.give(place, length);
    EXPECT_TRUE(allocator.is_empty());
    EXPECT_EQ(allocator.take(size - 64), 64U);
}

} // namespace
} // namespace bpfilter::records
