// SPDX-License-Identifier: GPL-2.0
//
// Jumps: loops, targets, and from which hooks a rule is reached.
#include "tests/unit/support/decoding.h"

#include <cerrno>

namespace bpfilter::test {

namespace {

constexpr std::uint32_t in = 1U << 1;
constexpr std::uint32_t forward = 1U << 2;
constexpr std::uint32_t out = 1U << 3;

std::vector<std::uint32_t> comefrom(const blob::DecodedTable &table)
{
    std::vector<std::uint32_t> masks;
    for (const auto offset : table.offsets)
        masks.push_back(load<std::uint32_t>(table.entries, offset + offsetof(ipt_entry, comefrom)));
    return masks;
}

// INPUT (0: the jump, 1), FORWARD 2, OUTPUT 3, c1 (4: head, 5: RETURN), end 6.
Payload jump_to(std::int32_t offset)
{
    return Blob().rule("INPUT", Rule().standard(offset)).chain("c1").build();
}

std::int32_t offset_of(std::size_t entry)
{
    return static_cast<std::int32_t>(jump_to(1).offsets.at(entry));
}

TEST(Reach, JumpTargets)
{
    EXPECT_EQ(error_of(jump_to(offset_of(5))), 0) << "first rule of a chain";
    EXPECT_EQ(error_of(jump_to(offset_of(4))), 0) << "head of a chain";
    EXPECT_EQ(error_of(jump_to(offset_of(1))), 0) << "the next rule";
    EXPECT_EQ(error_of(jump_to(offset_of(2))), 0) << "a built-in chain";
    EXPECT_EQ(error_of(jump_to(offset_of(5) + 8)), ELOOP) << "inside a rule";
    EXPECT_EQ(error_of(jump_to(offset_of(6) + 176)), ELOOP) << "end of the blob";
    EXPECT_EQ(error_of(jump_to(0x7ffffff0)), ELOOP) << "far beyond";
    EXPECT_EQ(error_of(jump_to(0)), EINVAL) << "offset 0";
    EXPECT_EQ(error_of(jump_to(offset_of(6))), ELOOP) << "the end falls off";
}

TEST(Reach, JumpsBecomeRuleIds)
{
    const auto verdict = [](std::int32_t offset) {
        return decoded(jump_to(offset)).table.rules[0].verdict;
    };
    EXPECT_EQ(verdict(offset_of(5)), ir::Verdict(ir::Jump{5}));
    EXPECT_EQ(verdict(offset_of(4)), ir::Verdict(ir::Jump{4}));
    EXPECT_EQ(verdict(offset_of(1)), ir::Verdict(ir::Continue{}));
    EXPECT_EQ(verdict(offset_of(2)), ir::Verdict(ir::Jump{2}));
}

TEST(Reach, GotoDoesNotPush)
{
    const auto table = decoded(Blob().rule("INPUT", Rule().go_to("c1")).chain("c1").build());
    EXPECT_EQ(table.table.rules[0].verdict, ir::Verdict(ir::Goto{5}));
}

TEST(Reach, ARuleWithoutTargetGoesOn)
{
    const auto table = decoded(Blob().rule("INPUT", Rule()).build());
    EXPECT_EQ(table.table.rules[0].verdict, ir::Verdict(ir::Continue{}));
}

TEST(Reach, Loops)
{
    Blob to_self;
    to_self.rule("INPUT", Rule().jump("c1")).chain("c1").rule("c1", Rule().jump("c1"));
    EXPECT_EQ(error_of(to_self.build()), ELOOP);

    Blob two;
    two.rule("INPUT", Rule().jump("c1")).chain("c1").chain("c2");
    two.rule("c1", Rule().jump("c2")).rule("c2", Rule().jump("c1"));
    EXPECT_EQ(error_of(two.build()), ELOOP);

    Blob conditional;
    conditional.rule("INPUT", Rule().jump("c1")).chain("c1").chain("c2");
    conditional.rule("c1", Rule().tcp().go_to("c2")).rule("c2", Rule().udp().jump("c1"));
    EXPECT_EQ(error_of(conditional.build()), ELOOP);

    Blob input;
    input.rule("INPUT", Rule().tcp().accept()).rule("INPUT", Rule().jump("c1"));
    input.chain("c1").rule("c1", Rule().standard(1));
    Payload payload = input.build();
    // Back into INPUT, to its second rule: offset 0 cannot be said.
    payload.put_entry(6, verdict_at, static_cast<std::int32_t>(payload.offsets[1]));
    EXPECT_EQ(error_of(payload), ELOOP);
}

TEST(Reach, TheSameChainTwiceIsNoLoop)
{
    Blob blob;
    blob.chain("c1").chain("c2").chain("c3");
    blob.rule("INPUT", Rule().jump("c1")).rule("INPUT", Rule().jump("c2"));
    blob.rule("INPUT", Rule().jump("c1"));
    blob.rule("c1", Rule().jump("c3")).rule("c2", Rule().jump("c3"));
    blob.rule("c2", Rule().jump("c1"));
    EXPECT_EQ(error_of(blob.build()), 0);
}

TEST(Reach, WhatNothingReachesIsNotWalked)
{
    Blob loop;
    loop.chain("c1").chain("c2");
    loop.rule("c1", Rule().jump("c2")).rule("c2", Rule().jump("c1"));
    const auto table = decoded(loop.build());
    EXPECT_EQ(comefrom(table), (std::vector<std::uint32_t>{in, forward, out, 0, 0, 0, 0, 0, 0, 0}));

    Blob nowhere;
    nowhere.chain("c1").rule("c1", Rule().standard(0x7fffff8));
    EXPECT_EQ(decoded(nowhere.build()).table.rules[4].verdict, ir::Verdict(ir::Drop{}));
}

TEST(Reach, OnlyUnconditionalVerdictsEndAChain)
{
    // Behind an ACCEPT for all nothing is reached.
    Blob closed;
    closed.rule("INPUT", Rule().accept()).rule("INPUT", Rule().jump("c1")).chain("c1");
    EXPECT_EQ(comefrom(decoded(closed.build())),
              (std::vector<std::uint32_t>{in, 0, 0, forward, out, 0, 0, 0}));
    Blob open;
    open.rule("INPUT", Rule().tcp().accept()).rule("INPUT", Rule().jump("c1")).chain("c1");
    EXPECT_EQ(comefrom(decoded(open.build())),
              (std::vector<std::uint32_t>{in, in, in, forward, out, 0, in, 0}));
}

TEST(Reach, HooksAddUp)
{
    Blob blob;
    blob.chain("c1").chain("c2");
    blob.rule("INPUT", Rule().jump("c1")).rule("OUTPUT", Rule().udp().go_to("c2"));
    blob.rule("c1", Rule().jump("c2"));
    // 0,1 INPUT; 2 FORWARD; 3,4 OUTPUT; 5 c1; 6,7; 8 c2; 9; 10 end
    EXPECT_EQ(comefrom(decoded(blob.build())),
              (std::vector<std::uint32_t>{in, in, forward, out, out, 0, in, in, 0, in | out, 0}));
}

TEST(Reach, FallingOffTheEnd)
{
    Blob trailing;
    trailing.chain("c1", false).rule("INPUT", Rule().jump("c1"));
    EXPECT_EQ(error_of(trailing.build()), ELOOP);

    Blob unreached;
    unreached.chain("c1", false);
    EXPECT_EQ(error_of(unreached.build()), 0);

    Blob into_the_next; // through the head of the next chain
    into_the_next.chain("c1", false).chain("c2").rule("INPUT", Rule().jump("c1"));
    into_the_next.rule("c1", Rule().tcp().accept());
    EXPECT_EQ(error_of(into_the_next.build()), 0);
}

TEST(Reach, NoEndIsNeeded)
{
    const auto table = decoded(Blob().without_end().build());
    EXPECT_EQ(table.table.rules.size(), 3U);
    EXPECT_EQ(table.table.stack_depth, 0U);
}

TEST(Reach, StackDepthIsTheNumberOfErrorTargets)
{
    EXPECT_EQ(decoded(Blob().build()).table.stack_depth, 1U);
    EXPECT_EQ(decoded(Blob().chain("c1").chain("c1").chain("c2").build()).table.stack_depth, 4U);
}

// Deep, wide, and linear, without recursion: were it quadratic, this would take minutes.
TEST(Reach, LargeTables)
{
    constexpr int rules = 120'000;
    constexpr int chains = 2'000;
    Blob blob;
    std::vector<std::string> names;
    for (int i = 0; i < chains; ++i)
        names.push_back("chain" + std::to_string(i));
    for (const auto &name : names) {
        blob.chain(name);
        for (const auto *hook : {"INPUT", "FORWARD", "OUTPUT"})
            blob.rule(hook, Rule().tcp({.dport = {80, 80}}).jump(name));
    }
    for (int i = 0; i + 1 < chains; ++i)
        blob.rule(names[static_cast<std::size_t>(i)],
                  Rule().jump(names[static_cast<std::size_t>(i) + 1]));
    for (int i = 0; i < rules; ++i)
        blob.rule(names.back(), Rule().source("10.0.0.1").udp().accept());
    const Payload payload = blob.build();

    const auto table = decoded(payload);
    EXPECT_EQ(table.table.rules.size(),
              static_cast<std::size_t>(rules + 3 * chains + 3 + chains * 3 - 1 + 1));
    EXPECT_EQ(table.table.stack_depth, static_cast<std::uint32_t>(chains + 1));
}

} // namespace

} // namespace bpfilter::test
