// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/policy_file.h"
#include "umh/tap/policy.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bpfilter::stapctl {
namespace {

tap::Policy decoded(const std::string &text)
{
    const auto policy = tap::decode_policy(parse_policy(text));
    if (!policy)
        throw std::runtime_error(policy.error().message);
    return *policy;
}

std::string bytes(const __u8 *begin, std::size_t size)
{
    return {reinterpret_cast<const char *>(begin), size};
}

TEST(PolicyFile, Lines)
{
    const auto policy = decoded(R"({"recv": {
        "framing": {"delimiter": "\r\n", "maximum": 8192},
        "rules": [{"prefix": "GET /admin", "verdict": "drop"},
                  {"offset": 4, "hex": "0aF0", "mask": "ffF0", "verdict": "disconnect"}],
        "default": "ok"}})");
    EXPECT_FALSE(policy.send);
    ASSERT_TRUE(policy.recv);
    EXPECT_EQ(policy.recv->framing.kind, unsigned(STAP_FRAMING_DELIMITER));
    EXPECT_EQ(policy.recv->framing.maximum, 8192U);
    EXPECT_EQ(bytes(policy.recv->framing.delimiter, policy.recv->framing.width), "\r\n");
    ASSERT_EQ(policy.recv->rules.size(), 2U);
    EXPECT_EQ(bytes(policy.recv->rules[0].value, policy.recv->rules[0].width), "GET /admin");
    EXPECT_EQ(policy.recv->rules[0].verdict, STAP_DROP);
    EXPECT_EQ(policy.recv->rules[1].offset, 4U);
    EXPECT_EQ(bytes(policy.recv->rules[1].value, 2), "\x0a\xf0");
    EXPECT_EQ(bytes(policy.recv->rules[1].mask, 2), "\xff\xf0");
    EXPECT_EQ(policy.recv->rules[1].verdict, STAP_DISCONNECT);
}

TEST(PolicyFile, LengthsAndNumbers)
{
    const auto policy = decoded(R"({"send": {
        "framing": {"length": {"offset": 2, "width": 2, "order": "little", "header": 12,
                               "counts": "message"}, "maximum": 100},
        "rules": [{"offset": 3, "width": 2, "value": 258, "verdict": "ok"},
                  {"width": 4, "order": "little", "value": 1, "mask": 255, "verdict": "ok"},
                  {"text": "x", "offset": 9, "verdict": "ok"}],
        "default": "disconnect"}, "recv": {"framing": {"fixed": 512}}})");
    ASSERT_TRUE(policy.send && policy.recv);
    const stap_framing &framing = policy.send->framing;
    EXPECT_EQ(framing.kind, unsigned(STAP_FRAMING_LENGTH));
    EXPECT_EQ(framing.offset, 2U);
    EXPECT_EQ(framing.width, 2);
    EXPECT_EQ(framing.order, STAP_LITTLE_ENDIAN);
    EXPECT_EQ(framing.size, 12U);
    EXPECT_EQ(framing.whole, 1);
    EXPECT_EQ(framing.maximum, 100U);
    EXPECT_EQ(policy.send->verdict, unsigned(STAP_DISCONNECT));
    EXPECT_EQ(bytes(policy.send->rules[0].value, 2), "\x01\x02");
    EXPECT_EQ(bytes(policy.send->rules[1].value, 4), std::string("\x01\0\0\0", 4));
    EXPECT_EQ(bytes(policy.send->rules[1].mask, 4), std::string("\xff\0\0\0", 4));
    EXPECT_EQ(policy.send->rules[2].offset, 9U);
    EXPECT_EQ(policy.recv->framing.kind, unsigned(STAP_FRAMING_FIXED));
    EXPECT_EQ(policy.recv->framing.size, 512U);
}

TEST(PolicyFile, Nothing)
{
    const auto policy = decoded(R"({"send": {}, "recv": {"framing": "none"}})");
    EXPECT_EQ(policy.send->framing.kind, unsigned(STAP_FRAMING_NONE));
    EXPECT_EQ(policy.recv->framing.kind, unsigned(STAP_FRAMING_NONE));
}

const std::vector<std::pair<const char *, const char *>> refusals = {
    {R"({"sned": {}})", R"(policy: "sned" means nothing here)"},
    {R"([])", "policy: not an object"},
    {R"({"send": {"rule": []}})", R"(send: "rule" means nothing here)"},
    {R"({"send": {"rules": {}}})", R"(send: "rules" is not an array)"},
    {R"({"send": {"default": "no"}})", R"(send: "no" is none of ok, drop, disconnect)"},
    {R"({"send": {"framing": "some"}})", "send.framing: not an object"},
    {R"({"send": {"framing": {"fixed": 1, "delimiter": "x"}}})",
     R"(send.framing: one of "fixed", "delimiter", "delimiter_hex", "length")"},
    {R"({"send": {"framing": {"delimiter": "12345"}}})",
     "send.framing: a delimiter has 1 to 4 bytes"},
    {R"({"send": {"framing": {"delimiter_hex": "0g"}}})",
     R"(send.framing: "delimiter_hex": 0g is not hexadecimal)"},
    {R"({"send": {"framing": {"delimiter_hex": "0"}}})",
     R"(send.framing: "delimiter_hex" has half a byte)"},
    {R"({"send": {"framing": {"length": {"order": "middle"}}}})",
     R"(send.framing.length: "order" is neither "big" nor "little")"},
    {R"({"send": {"framing": {"length": {"width": -2}}}})",
     R"(send.framing.length: "width" is not a number up to 8)"},
    {R"({"send": {"rules": [{"prefix": "x", "verdict": "ok"}, {"verdict": "ok"}]}})",
     R"(send.rules[1]: one of "prefix", "text", "hex", "value")"},
    {R"({"send": {"rules": [{"prefix": "", "verdict": "ok"}]}})",
     "send.rules[0]: 1 to 32 bytes can be compared"},
    {R"({"send": {"rules": [{"prefix": "x", "offset": 1, "verdict": "ok"}]}})",
     R"(send.rules[0]: a "prefix" has no "offset")"},
    {R"({"send": {"rules": [{"value": 1, "verdict": "ok"}]}})",
     R"(send.rules[0]: "width" of a number is 1, 2, 4 or 8)"},
    {R"({"send": {"rules": [{"value": 256, "width": 1, "verdict": "ok"}]}})",
     R"(send.rules[0]: "value" is not a number up to 255)"},
    {R"({"send": {"rules": [{"hex": "0a0b", "mask": "ff", "verdict": "ok"}]}})",
     "send.rules[0]: the mask is not as long as the value"},
    {R"({"send": {"rules": [{"hex": "0a"}]}})",
     R"(send.rules[0]: "" is none of ok, drop, disconnect)"},
};

TEST(PolicyFile, WhatMakesNoSense)
{
    for (const auto &[text, sentence] : refusals) {
        try {
            parse_policy(text);
            ADD_FAILURE() << text;
        } catch (const std::runtime_error &error) {
            EXPECT_STREQ(error.what(), sentence) << text;
        }
    }
    EXPECT_ANY_THROW(parse_policy("{"));
    EXPECT_ANY_THROW(read_policy("/nowhere"));
}

} // namespace
} // namespace bpfilter::stapctl
