// SPDX-License-Identifier: GPL-2.0
//
// Arenas: they grow beside what is there, and the small one goes when nothing is in it any more.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/written.h"
#include "umh/load/arena.h"
#include "umh/load/map.h"

#include <algorithm>
#include <cerrno>
#include <gtest/gtest.h>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace bpfilter {
namespace {

class ArenaTest : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = test::why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }

    static constexpr std::uint32_t bits = 14;
    Arenas arenas{0, bits};
};

TEST_F(ArenaTest, GrowsBesideWhatIsThere)
{
    auto first = arenas.take(4000);
    ASSERT_TRUE(first);
    EXPECT_EQ(arenas.count(), 1U);
    EXPECT_EQ(first->arena().bits(), bits);
    auto second = arenas.take(14000);
    ASSERT_TRUE(second);
    EXPECT_EQ(arenas.count(), 2U);
    EXPECT_NE(&first->arena(), &second->arena());
    EXPECT_GT(second->arena().bits(), first->arena().bits());

    // There is room in the large one only, though nothing is left in the small one.
    *first = Block();
    auto third = arenas.take(18000);
    ASSERT_TRUE(third);
    EXPECT_EQ(arenas.count(), 2U);
    EXPECT_EQ(&third->arena(), &second->arena());
}

// As a table is replaced again and again: the new one beside the old one.
TEST_F(ArenaTest, DoesNotGrowWithReplaces)
{
    auto in_force = arenas.take(5000);
    ASSERT_TRUE(in_force);
    for (int i = 0; i < 10000; ++i) {
        auto next = arenas.take(5000);
        ASSERT_TRUE(next);
        next->shrink(4000 + static_cast<std::uint32_t>(i % 1000));
        *in_force = std::move(*next);
        next = Block();
    }
    EXPECT_EQ(arenas.count(), 1U);
    EXPECT_EQ(in_force->arena().bits(), bits);
}

// When its helper is dead, all of an arena stays for the last table in it, however small.
TEST_F(ArenaTest, NoneThatIsSharedIsHuge)
{
    std::vector<Block> blocks;
    for (int i = 0; i < 11; ++i) {
        auto block = arenas.take(7 << 20);
        ASSERT_TRUE(block);
        EXPECT_LE(block->arena().bits(), 25U);
        blocks.push_back(std::move(*block));
    }
}

// It shares none, is on its user's account as a whole, and leaves nothing behind.
TEST_F(ArenaTest, ALargeTableIsAlone)
{
    constexpr std::size_t large = 9 << 20;
    auto small = arenas.take(100);
    ASSERT_TRUE(small);
    auto one = arenas.take(large);
    auto other = arenas.take(large);
    ASSERT_TRUE(one && other);
    EXPECT_EQ(arenas.count(), 1U);
    EXPECT_NE(&one->arena(), &other->arena());
    one->shrink(1000);
    EXPECT_EQ(one->account(), 16U << 20);
    EXPECT_EQ(small->account(), 100U);
    const auto map = map_id(one->arena().map());
    ASSERT_TRUE(map);
    EXPECT_TRUE(open_map(*map));
    *one = Block();
    EXPECT_FALSE(open_map(*map));
}

// However much it was once, what is left is the first one.
TEST_F(ArenaTest, WhatIsEmptyGoes)
{
    std::vector<Block> blocks;
    for (int i = 0; i < 1000; ++i) {
        auto block = arenas.take(10000);
        ASSERT_TRUE(block);
        blocks.push_back(std::move(*block));
    }
    EXPECT_GT(arenas.count(), 2U);
    blocks.clear();
    arenas.tidy();
    EXPECT_EQ(arenas.count(), 0U) << "none was of the first size";
    const auto block = arenas.take(100);
    ASSERT_TRUE(block);
    EXPECT_EQ(arenas.count(), 1U);
    EXPECT_EQ(block->arena().bits(), bits);
}

// What is on nobody's account is bounded by what is.
TEST_F(ArenaTest, TakesNoMoreThanFourTimesWhatIsInThem)
{
    constexpr std::size_t size = 3000;
    std::vector<Block> blocks;
    std::set<const Arena *> seen;
    std::size_t all = 0;
    for (int i = 0; i < 2000; ++i) {
        auto block = arenas.take(size);
        ASSERT_TRUE(block);
        if (seen.insert(&block->arena()).second)
            all += std::size_t{1} << block->arena().bits();
        blocks.push_back(std::move(*block));
        EXPECT_LE(all, std::max(std::size_t{1} << bits, 4 * size * blocks.size()));
    }
}

TEST_F(ArenaTest, WhatIsTooLargeIsENOMEM)
{
    const auto taken = arenas.take(std::size_t{1} << 29);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ENOMEM);
}

TEST_F(ArenaTest, VerifiesAProgramOnce)
{
    auto block = arenas.take(100);
    ASSERT_TRUE(block);
    Arena &arena = block->arena();
    const auto first = arena.program(ir::Family::ipv4, {});
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(arena.program(ir::Family::ipv4, {}).value(), *first);
    EXPECT_EQ(arena.program_count(), 1U);
    // Of parts that are close to each other one program does for all.
    const auto ip = arena.program(ir::Family::ipv4, ir::Part::ip);
    EXPECT_EQ(ip.value(), arena.program(ir::Family::ipv4, complete(ir::Part::walk)).value());
    EXPECT_NE(ip.value(), *first);
    EXPECT_NE(arena.program(ir::Family::ipv6, ir::Part::ip).value(), ip.value());
    EXPECT_EQ(arena.program_count(), 3U);
    // Whoever asks for addresses alone does not pay for transport headers.
    EXPECT_NE(ip.value(), arena.program(ir::Family::ipv4, complete(ir::Part::transport)).value());
}

// All the verifiers there are load all of them.
TEST_F(ArenaTest, AllProgramsLoad)
{
    auto block = arenas.take(100);
    ASSERT_TRUE(block);
    for (const auto family : {ir::Family::ipv4, ir::Family::ipv6})
        for (std::uint32_t part = 0; part <= static_cast<std::uint32_t>(ir::Part::link); ++part) {
            const ir::Parts parts = complete(static_cast<ir::Part>(part));
            for (const ir::Parts all : {parts, parts | ir::Part::devices}) {
                const auto program = block->arena().program(family, all);
                EXPECT_TRUE(program) << text(all) << ": " << program.error().message;
            }
        }
}

} // namespace
} // namespace bpfilter
