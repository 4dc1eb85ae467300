// SPDX-License-Identifier: GPL-2.0
//
// One entry at a time: sizes, offsets, flags, verdicts, underflows.
#include "tests/unit/support/decoding.h"

#include <cerrno>

namespace bpfilter::test {

namespace {

constexpr auto target_offset = offsetof(ipt_entry, target_offset);
constexpr auto next_offset = offsetof(ipt_entry, next_offset);
constexpr auto flags = offsetof(ipt_entry, ip.flags);
constexpr auto invflags = offsetof(ipt_entry, ip.invflags);
constexpr std::size_t end = 3; // the target ERROR at the end

// A changed entry 0, which is the policy of INPUT.
template <typename T> int with(std::size_t offset, T value, std::size_t entry = 0)
{
    Payload payload = Blob().build();
    payload.put_entry(entry, offset, value);
    return error_of(payload);
}

int with_verdict(std::int32_t verdict)
{
    return with(verdict_at, verdict);
}

// A changed first entry of INPUT, which is no policy.
template <typename T> int rule_with(const Rule &rule, std::size_t offset, T value)
{
    Payload payload = Blob().rule("INPUT", rule).build();
    payload.put_entry(0, offset, value);
    return error_of(payload);
}

TEST(Entry, OnlyDropAndAcceptArePolicies)
{
    EXPECT_EQ(with_verdict(verdict::accept), 0);
    EXPECT_EQ(with_verdict(verdict::drop), 0);
    EXPECT_EQ(with_verdict(verdict::queue), EINVAL);
    EXPECT_EQ(with_verdict(verdict::returns), EINVAL);
    EXPECT_EQ(with_verdict(152), EINVAL);
}

TEST(Entry, APolicyAsksNothing)
{
    EXPECT_EQ(with(offsetof(ipt_entry, ip.proto), std::uint16_t{6}), EINVAL);
    EXPECT_EQ(error_of(Blob().build()), 0);
}

TEST(Entry, APolicyHasNoMatch)
{
    Payload payload =
        Blob().rule("INPUT", Rule().match("udp", 0, bytes_of(xt_udp{})).accept()).build();
    payload.put(offsetof(ipt_replace, underflow) + 4, 0U);
    EXPECT_EQ(message_of(payload), "entry 0 at offset 0: an underflow that is not a policy");
}

TEST(Entry, APolicyIsAStandardTarget)
{
    Payload payload =
        Blob()
            .rule("INPUT", Rule().target("ERROR", 0, bytes_of(std::array<char, 30>{"x"})))
            .build();
    EXPECT_EQ(error_of(payload), 0);
    payload.put(offsetof(ipt_replace, underflow) + 4, 0U);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST(Entry, VerdictsOfRules)
{
    const auto rule = Rule().protocol(6);
    for (const std::int32_t good :
         {verdict::accept, verdict::drop, verdict::queue, verdict::returns})
        EXPECT_EQ(error_of(Rule(rule).standard(good)), 0) << good;
    for (const std::int32_t bad : {0, -3, -6, -7, -0x7fffffff - 1})
        EXPECT_EQ(error_of(Rule(rule).standard(bad)), EINVAL) << bad;
    EXPECT_EQ(error_of(Rule(rule).standard(0x7fffffff)), ELOOP);
}

TEST(Entry, KnownFlagsOnly)
{
    const auto rule = Rule().accept();
    EXPECT_EQ(rule_with(rule, flags, std::uint8_t{3}), 0);
    EXPECT_EQ(rule_with(rule, flags, std::uint8_t{4}), EINVAL);
    EXPECT_EQ(rule_with(rule, flags, std::uint8_t{0x80}), EINVAL);
    EXPECT_EQ(rule_with(rule, invflags, std::uint8_t{0x7f}), 0);
    EXPECT_EQ(rule_with(rule, invflags, std::uint8_t{0x80}), EINVAL);
}

TEST(Entry, WhatTheKernelSetsIsIgnored)
{
    EXPECT_EQ(with(offsetof(ipt_entry, comefrom), 0x55U), 0);
    EXPECT_EQ(with(offsetof(ipt_entry, nfcache), 0x55U), 0);
    EXPECT_EQ(with(offsetof(ipt_entry, counters), std::uint64_t{0x55}), 0);
}

TEST(Entry, OffsetOfTheTarget)
{
    EXPECT_EQ(with(target_offset, std::uint16_t{104}), EINVAL);
    EXPECT_EQ(with(target_offset, std::uint16_t{0}), EINVAL);
    EXPECT_EQ(with(target_offset, std::uint16_t{120}), EINVAL);
    EXPECT_EQ(with(target_offset, std::uint16_t{128}), EINVAL);
    EXPECT_EQ(with(target_offset, std::uint16_t{0xffff}), EINVAL);
}

TEST(Entry, OffsetOfTheNext)
{
    EXPECT_EQ(with(next_offset, std::uint16_t{0}), EINVAL);
    EXPECT_EQ(with(next_offset, std::uint16_t{112}), EINVAL);
    EXPECT_EQ(with(next_offset, std::uint16_t{144}), EINVAL);
    EXPECT_EQ(with(next_offset, std::uint16_t{156}), EINVAL);
    EXPECT_EQ(with(next_offset, std::uint16_t{0xfff8}), EINVAL);
    EXPECT_EQ(with(next_offset, std::uint16_t{168}, end), EINVAL);
}

TEST(Entry, MisalignedNext)
{
    // The last entry may be of any size; only a next one has to be aligned.
    Payload payload = Blob().build();
    payload.put_entry(end, next_offset, std::uint16_t{180});
    payload.put(offsetof(ipt_replace, size), 636U);
    payload.bytes.resize(payload.bytes.size() + 4);
    EXPECT_EQ(error_of(payload), 0);

    const std::array<char, 30> name{"x"};
    payload = Blob().rule("INPUT", Rule().target("ERROR", 0, bytes_of(name))).build();
    payload.put_entry(0, next_offset, std::uint16_t{180});
    EXPECT_EQ(message_of(payload), "entry 1 at offset 180: not aligned");
}

TEST(Entry, AnEntryAloneIsNotEnough)
{
    // Exactly the fixed part of one more entry at the end.
    Payload payload = Blob().build();
    payload.put(offsetof(ipt_replace, size), 632U + 112);
    payload.put(offsetof(ipt_replace, num_entries), 5U);
    payload.bytes.resize(payload.bytes.size() + 112);
    EXPECT_EQ(message_of(payload), "entry 4 at offset 632: beyond the end");
}

TEST(Entry, SizeOfAStandardTarget)
{
    EXPECT_EQ(with(target_at, std::uint16_t{0}), EINVAL);
    EXPECT_EQ(with(target_at, std::uint16_t{31}), EINVAL);
    EXPECT_EQ(with(target_at, std::uint16_t{32}), EINVAL);
    EXPECT_EQ(with(target_at, std::uint16_t{36}), EINVAL);
    EXPECT_EQ(with(target_at, std::uint16_t{48}), EINVAL);
    EXPECT_EQ(with(target_at, std::uint16_t{0xffff}), EINVAL);
}

TEST(Entry, SizeOfAnErrorTarget)
{
    EXPECT_EQ(with(target_at, std::uint16_t{56}, end), EINVAL);
    EXPECT_EQ(with(target_at, std::uint16_t{72}, end), EINVAL);
}

TEST(Entry, ChainNamesAreTerminated)
{
    std::array<char, 30> name;
    name.fill('A');
    EXPECT_EQ(with(verdict_at, name, end), EINVAL);
    name.back() = 0;
    EXPECT_EQ(with(verdict_at, name, end), 0);
}

TEST(Entry, AnErrorTargetIsNotAStandardOne)
{
    EXPECT_EQ(with(target_at + 2, std::array<char, 6>{}, end), EINVAL);
}

TEST(Entry, RevisionsAndNamesOfTargets)
{
    EXPECT_EQ(with(target_at + 31, std::uint8_t{1}, end), ENOENT);
    const auto rule = Rule().accept();
    EXPECT_EQ(rule_with(rule, target_at + 31, std::uint8_t{1}), ENOENT);
    // No verdict to be a policy by, with an unknown name.
    EXPECT_EQ(with(target_at + 2, std::array<char, 4>{'N', 'O', 'P', 'E'}), EINVAL);
    EXPECT_EQ(rule_with(rule, target_at + 2, std::array<char, 4>{'N', 'O', 'P', 'E'}), ENOENT);
    std::array<char, 29> name;
    name.fill('A');
    EXPECT_EQ(rule_with(rule, target_at + 2, name), EINVAL);
}

// Matches must fill the room before the target.
class EntryMatches : public ::testing::Test {
protected:
    static constexpr std::size_t match_at = sizeof(ipt_entry);
    Payload payload = Blob().rule("INPUT", Rule().tcp().accept()).build();

    int with_size(std::uint16_t size)
    {
        payload.put_entry(0, match_at, size);
        return error_of(payload);
    }
};

TEST_F(EntryMatches, SizeOfAMatch)
{
    EXPECT_EQ(with_size(48), 0);
    EXPECT_EQ(with_size(0), EINVAL);
    EXPECT_EQ(with_size(31), EINVAL);
    EXPECT_EQ(with_size(32), EINVAL); // 16 bytes left over
    EXPECT_EQ(with_size(56), EINVAL);
    EXPECT_EQ(with_size(248), EINVAL);
    EXPECT_EQ(with_size(0xffff), EINVAL);
}

TEST_F(EntryMatches, MatchesAreAligned)
{
    payload = Blob().rule("INPUT", Rule().tcp().tcp().accept()).build();
    EXPECT_EQ(error_of(payload), 0);
    EXPECT_EQ(with_size(44), EINVAL);
    EXPECT_EQ(message_of(payload), "entry 0 at offset 0: a match is not aligned");
}

TEST_F(EntryMatches, NameIsTerminated)
{
    std::array<char, 29> name;
    name.fill('A');
    payload.put_entry(0, match_at + 2, name);
    EXPECT_EQ(error_of(payload), EINVAL);
}

} // namespace

} // namespace bpfilter::test
