// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/tap/policies.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

namespace bpfilter::tap {
namespace {

using test::delimiter_framing;
using test::fixed_framing;
using test::length_framing;
using test::prefix_rule;

struct Input {
    stap_policy head{};
    std::vector<stap_rule> rules;

    [[nodiscard]] std::vector<std::byte> bytes() const
    {
        const auto first = std::as_bytes(std::span(&head, 1));
        const auto rest = std::as_bytes(std::span(rules));
        std::vector<std::byte> all(first.begin(), first.end());
        all.insert(all.end(), rest.begin(), rest.end());
        return all;
    }
};

Input good()
{
    Input input;
    input.head.send.framing = length_framing(0, 4);
    input.head.send.rules = 1;
    input.head.recv.framing = delimiter_framing("\r\n");
    input.head.recv.framing.maximum = 4096;
    input.head.recv.verdict = STAP_DROP;
    input.head.recv.rules = 2;
    input.rules = {prefix_rule(4, "abc", STAP_DISCONNECT), prefix_rule(0, "GET ", STAP_OK),
                   prefix_rule(0, "PUT ", STAP_OK)};
    return input;
}

TEST(TapPolicy, BothDirections)
{
    const auto policy = decode_policy(good().bytes());
    ASSERT_TRUE(policy) << policy.error().message;
    ASSERT_TRUE(policy->send);
    EXPECT_EQ(policy->send->framing.kind, STAP_FRAMING_LENGTH);
    EXPECT_EQ(policy->send->verdict, unsigned(STAP_OK));
    ASSERT_EQ(policy->send->rules.size(), 1U);
    EXPECT_EQ(policy->send->rules[0].verdict, STAP_DISCONNECT);
    ASSERT_TRUE(policy->recv);
    EXPECT_EQ(policy->recv->verdict, unsigned(STAP_DROP));
    ASSERT_EQ(policy->recv->rules.size(), 2U);
    EXPECT_EQ(policy->recv->rules[1].value[0], 'P');
}

TEST(TapPolicy, OneDirection)
{
    Input input;
    input.head.recv.framing.kind = STAP_FRAMING_NONE;
    const auto policy = decode_policy(input.bytes());
    ASSERT_TRUE(policy) << policy.error().message;
    EXPECT_FALSE(policy->send);
    EXPECT_TRUE(policy->recv);
}

struct Refusal {
    std::function<void(Input &)> spoil;
    std::string sentence;
};

const std::vector<Refusal> refusals = {
    {[](Input &i) { i = Input(); }, "tap policy: it taps neither direction"},
    {[](Input &i) { i.rules.push_back({}); }, "tap policy: 72 bytes behind its last rule"},
    {[](Input &i) { i.rules.pop_back(); },
     "tap policy, receiving: 2 rules, of which some are not there"},
    {[](Input &i) { i.head.recv.rules = 0xffffffff; },
     "tap policy, receiving: 4294967295 rules, more than 1024"},
    {[](Input &i) { i.head.send.verdict = 1; }, "tap policy, sending: verdict 1"},
    {[](Input &i) { i.head.send.framing.kind = 5; }, "tap policy, sending: framing 5"},
    {[](Input &i) { i.head.send.framing = {}; },
     "tap policy, sending: verdicts for what is not tapped"},
    {[](Input &i) { i.head.send.framing.width = 3; },
     "tap policy, sending: a length field of 3 bytes"},
    {[](Input &i) { i.head.send.framing.order = 2; }, "tap policy, sending: byte order 2"},
    {[](Input &i) { i.head.send.framing.whole = 2; },
     "tap policy, sending: 2 for whether a length counts the header"},
    {[](Input &i) { i.head.send.framing.size = 3; },
     "tap policy, sending: a header of 3 bytes whose length field ends at 4"},
    {[](Input &i) { i.head.send.framing.maximum = 3; },
     "tap policy, sending: a header of 4 bytes, longer than any message"},
    {[](Input &i) { i.head.send.framing.offset = 0xffffffff; },
     "tap policy, sending: a header of 4294967299 bytes, longer than any message"},
    {[](Input &i) { i.head.send.framing.maximum = 0x80000000; },
     "tap policy, sending: messages of 2147483648 bytes"},
    {[](Input &i) { i.head.send.framing.reserved = 1; },
     "tap policy, sending: a field that framing 2 has no use for"},
    {[](Input &i) { i.head.send.framing.delimiter[3] = 1; },
     "tap policy, sending: a field that framing 2 has no use for"},
    {[](Input &i) { i.head.send.framing = fixed_framing(0); },
     "tap policy, sending: messages of 0 bytes"},
    {[](Input &i) { i.head.recv.framing.width = 5; },
     "tap policy, receiving: a delimiter of 5 bytes"},
    {[](Input &i) { i.head.recv.framing.width = 0; },
     "tap policy, receiving: a delimiter of 0 bytes"},
    {[](Input &i) { i.head.recv.framing.delimiter[2] = 1; },
     "tap policy, receiving: bytes behind the delimiter"},
    {[](Input &i) { i.head.recv.framing.maximum = 1; },
     "tap policy, receiving: a delimiter longer than any message"},
    {[](Input &i) { i.head.recv.framing.offset = 1; },
     "tap policy, receiving: a field that framing 3 has no use for"},
    {[](Input &i) { i.head.recv.framing.size = 1; },
     "tap policy, receiving: a field that framing 3 has no use for"},
    {[](Input &i) { i.rules[1].width = 0; },
     "tap policy, receiving: rule 1: a comparison of 0 bytes"},
    {[](Input &i) { i.rules[2].width = 33; },
     "tap policy, receiving: rule 2: a comparison of 33 bytes"},
    {[](Input &i) { i.rules[0].offset = 0x7fffffff; },
     "tap policy, sending: rule 1: offset 2147483647"},
    {[](Input &i) { i.rules[0].verdict = 7; }, "tap policy, sending: rule 1: verdict 7"},
    {[](Input &i) { i.rules[0].mask[1] = 0; },
     "tap policy, sending: rule 1: a value that its mask hides"},
    {[](Input &i) { i.rules[0].mask[3] = 1; },
     "tap policy, sending: rule 1: a mask that is wider than the comparison"},
    {[](Input &i) { i.rules[0].reserved = 1; },
     "tap policy, sending: rule 1: a reserved field that is not 0"},
};

TEST(TapPolicy, WhatMakesNoSense)
{
    for (const Refusal &refusal : refusals) {
        Input input = good();
        refusal.spoil(input);
        const auto policy = decode_policy(input.bytes());
        ASSERT_FALSE(policy) << refusal.sentence;
        EXPECT_EQ(policy.error().code, EINVAL);
        EXPECT_EQ(policy.error().message, refusal.sentence);
    }
}

TEST(TapPolicy, CutShort)
{
    const auto whole = good().bytes();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto policy = decode_policy(Bytes(whole).first(size));
        ASSERT_FALSE(policy) << size;
        EXPECT_EQ(policy.error().code, EINVAL);
    }
}

} // namespace
} // namespace bpfilter::tap
