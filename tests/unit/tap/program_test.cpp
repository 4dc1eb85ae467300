// SPDX-License-Identifier: GPL-2.0
//
// The programs of policies, in this machine's kernel, against what the policies mean.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/seed.h"
#include "tests/unit/tap/policies.h"
#include "umh/load/program.h"
#include "umh/tap/parser.h"
#include "umh/tap/programs.h"
#include "umh/tap/verdict.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

namespace bpfilter::tap {
namespace {

using test::bytes_of_text;
using test::delimiter_framing;
using test::expected_length;
using test::expected_verdict;
using test::fixed_framing;
using test::length_framing;
using test::PacketBytes;
using test::prefix_rule;

class TapProgram : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = test::why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }
};

UniqueFd loaded(const Result<codegen::Program> &program)
{
    if (!program)
        throw std::runtime_error(program.error().message);
    Result<UniqueFd> fd = load_program(*program, ProgramMaps{});
    if (!fd)
        throw std::runtime_error(fd.error().message);
    return std::move(*fd);
}

// A test run takes a frame, of which a socket filter does not see the Ethernet header.
std::int32_t run(const UniqueFd &program, const PacketBytes &message)
{
    PacketBytes frame(ETH_HLEN);
    frame.insert(frame.end(), message.begin(), message.end());
    return static_cast<std::int32_t>(test::run_program(program.get(), frame).result);
}

// The same, of a parser that is done with the message's first `done` bytes, which are not there;
// and with how many it is done then.
std::int32_t run_behind(const UniqueFd &program, const PacketBytes &message, std::uint32_t &done)
{
    PacketBytes frame(ETH_HLEN);
    frame.insert(frame.end(), message.begin() + done, message.end());
    __sk_buff context{};
    context.cb[0] = done;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
                .data_size_in = static_cast<__u32>(frame.size()), .ctx_in = &context,
                .ctx_out = &context, .ctx_size_in = sizeof(context),
                .ctx_size_out = sizeof(context));
    if (bpf_prog_test_run_opts(program.get(), &options) < 0)
        throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + std::strerror(errno));
    done = context.cb[0];
    return static_cast<std::int32_t>(options.retval);
}

void expect_lengths(const stap_framing &framing, const std::vector<PacketBytes> &messages)
{
    const UniqueFd program = loaded(generate_parser(framing));
    for (const PacketBytes &message : messages)
        EXPECT_EQ(run(program, message), expected_length(framing, message))
            << "framing " << framing.kind << ", " << message.size() << " bytes";
}

PacketBytes some(std::size_t size, std::initializer_list<int> bytes)
{
    PacketBytes message;
    for (const int byte : bytes)
        message.push_back(static_cast<std::byte>(byte));
    message.resize(size);
    return message;
}

TEST_F(TapProgram, LengthFields)
{
    const std::vector<PacketBytes> messages = {
        some(1, {5}),
        some(2, {0, 5}),
        some(4, {0, 0, 0, 5}),
        some(9, {0xff}),
        some(9, {1, 2, 3}),
        some(40, {0, 0, 0, 0, 0, 0, 0, 0, 0, 17}),
        some(9, {0}),
        some(9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
        some(9, {0x7f, 0xff, 0xff, 0xff}),
        some(9, {0x7f, 0xff, 0xff, 0xf0}),
        some(9, {0, 0, 4, 0}),
        some(9, {0, 0, 3, 0xfc}),
        some(9, {0, 0, 3, 0xfd})};
    for (const std::uint8_t width : {1, 2, 4, 8}) {
        for (const std::uint32_t offset : {0U, 1U, 3U, 8U}) {
            for (const std::uint32_t variant : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U}) {
                stap_framing framing = length_framing(offset, width);
                framing.order = (variant & 1) != 0;
                framing.whole = (variant & 2) != 0;
                framing.maximum = (variant & 4) != 0 ? 1024 : 0;
                framing.size = (variant & 4) != 0 ? 20 : 0;
                expect_lengths(framing, messages);
            }
        }
    }
}

TEST_F(TapProgram, ReadsAsItIsWritten)
{
    stap_framing framing = length_framing(1, 2);
    EXPECT_EQ(run(loaded(generate_parser(framing)), some(9, {7, 1, 2})), 3 + 0x102);
    framing.order = STAP_LITTLE_ENDIAN;
    framing.whole = 1;
    EXPECT_EQ(run(loaded(generate_parser(framing)), some(9, {7, 1, 2})), 0x201);
    EXPECT_EQ(run(loaded(generate_parser(framing)), some(9, {7, 2, 0})), -EPROTO);
    EXPECT_EQ(run(loaded(generate_parser(framing)), some(2, {7, 2})), 0);
    EXPECT_EQ(run(loaded(generate_parser(fixed_framing(12))), some(3, {})), 12);
    const UniqueFd lines = loaded(generate_parser(delimiter_framing("\r\n")));
    EXPECT_EQ(run(lines, bytes_of_text("GET / HTTP/1.1\r\nHost: a\r\n")), 16);
    EXPECT_EQ(run(lines, bytes_of_text("GET / HTTP/1.1\r")), 0);
}

TEST_F(TapProgram, DelimitersAtEveryPlace)
{
    for (const std::string &delimiter :
         {std::string("\n"), std::string("\r\n"), std::string("\r\n\r"), std::string("\r\n\r\n"),
          std::string("\0", 1), std::string("\0\0", 2), std::string("\0\0\0\0", 4),
          std::string("\xff\xff", 2), std::string("a\0", 2)}) {
        for (const std::uint32_t maximum : {0U, 70U}) {
            stap_framing framing = delimiter_framing(delimiter);
            framing.maximum = maximum;
            const UniqueFd program = loaded(generate_parser(framing));
            for (std::size_t before = 0; before < 200; ++before) {
                PacketBytes message(before, std::byte{'x'});
                EXPECT_EQ(run(program, message), expected_length(framing, message));
                const PacketBytes end = bytes_of_text(delimiter);
                message.insert(message.end(), end.begin(), end.end());
                EXPECT_EQ(run(program, message), expected_length(framing, message)) << before;
                message.insert(message.end(), before % 70, std::byte{'\r'});
                EXPECT_EQ(run(program, message), expected_length(framing, message)) << before;
            }
        }
    }
}

TEST_F(TapProgram, DelimitersInRandomBytes)
{
    std::mt19937_64 random(test::seed());
    for (int i = 0; i < 40; ++i) {
        std::string delimiter;
        for (std::size_t n = 1 + random() % 4; n > 0; --n)
            delimiter.push_back(static_cast<char>(random() % 3));
        const stap_framing framing = delimiter_framing(delimiter);
        const UniqueFd program = loaded(generate_parser(framing));
        for (int j = 0; j < 100; ++j) {
            PacketBytes message(random() % 300);
            for (std::byte &byte : message)
                byte = static_cast<std::byte>(random() % 3 + (random() % 4 != 0 ? 1 : 0));
            EXPECT_EQ(run(program, message), expected_length(framing, message));
        }
    }
}

// A message that comes in pieces: none of it is looked at twice, but what may begin a delimiter.
TEST_F(TapProgram, DelimitersInPieces)
{
    std::mt19937_64 random(test::seed());
    for (int i = 0; i < 200; ++i) {
        std::string delimiter;
        for (std::size_t n = 1 + random() % 4; n > 0; --n)
            delimiter.push_back(static_cast<char>(random() % 2));
        stap_framing framing = delimiter_framing(delimiter);
        framing.maximum = random() % 2 != 0 ? 0 : 400;
        const UniqueFd program = loaded(generate_parser(framing));
        PacketBytes message;
        std::uint32_t done = 0;
        for (std::int32_t length = 0; length == 0 && message.size() < 2000;) {
            const std::uint32_t before = done;
            for (std::size_t n = 1 + random() % (random() % 2 != 0 ? 200 : 3); n > 0; --n)
                message.push_back(static_cast<std::byte>(random() % 5));
            length = run_behind(program, message, done);
            ASSERT_EQ(length, expected_length(framing, message))
                << message.size() << ", " << before;
            if (length == 0) {
                ASSERT_LE(done, message.size());
                ASSERT_LT(message.size() - done, framing.width);
            }
        }
    }
}

TEST_F(TapProgram, RulesReadAsTheyAreWritten)
{
    Direction direction;
    direction.verdict = STAP_DISCONNECT;
    direction.rules = {prefix_rule(0, "GET /admin", STAP_DROP), prefix_rule(0, "GET ", STAP_OK),
                       prefix_rule(300, "far away", STAP_OK)};
    direction.rules.push_back(prefix_rule(1, "\x40", STAP_OK));
    direction.rules.back().mask[0] = 0xf0;
    const UniqueFd program = loaded(generate_verdict(direction));
    const auto verdict = [&](const PacketBytes &message) {
        EXPECT_EQ(run(program, message), std::int64_t{expected_verdict(direction, message)});
        return run(program, message);
    };
    EXPECT_EQ(verdict(bytes_of_text("GET /admin/x")), STAP_DROP);
    EXPECT_EQ(verdict(bytes_of_text("GET /admin")), STAP_DROP);
    EXPECT_EQ(verdict(bytes_of_text("GET /admi")), STAP_OK);
    EXPECT_EQ(verdict(bytes_of_text("PUT /")), STAP_DISCONNECT);
    EXPECT_EQ(verdict(bytes_of_text("xO")), STAP_OK);
    EXPECT_EQ(verdict(bytes_of_text("xP")), STAP_DISCONNECT);
    EXPECT_EQ(verdict(bytes_of_text(std::string(300, ' ') + "far away")), STAP_OK);
    EXPECT_EQ(verdict(bytes_of_text(std::string(300, ' ') + "far awa")), STAP_DISCONNECT);
}

stap_rule random_rule(std::mt19937_64 &random)
{
    stap_rule rule{};
    rule.width = static_cast<__u8>(1 + random() % STAP_RULE_WIDTH);
    rule.offset = random() % 8 == 0 ? random() % 300 : random() % 40;
    rule.verdict = std::array<__u8, 3>{STAP_OK, STAP_DROP, STAP_DISCONNECT}.at(random() % 3);
    for (std::size_t i = 0; i < rule.width; ++i) {
        rule.mask[i] = static_cast<__u8>(random() % 12 == 0 ? 1U << random() % 8 : 0);
        rule.value[i] = static_cast<__u8>(random()) & rule.mask[i];
    }
    return rule;
}

TEST_F(TapProgram, RandomRules)
{
    std::mt19937_64 random(test::seed());
    for (int i = 0; i < 60; ++i) {
        Direction direction;
        direction.verdict = STAP_OK;
        for (std::size_t n = random() % 30; n > 0; --n)
            direction.rules.push_back(random_rule(random));
        const UniqueFd program = loaded(generate_verdict(direction));
        for (int j = 0; j < 100; ++j) {
            PacketBytes message(1 + random() % (random() % 3 == 0 ? 400 : 60));
            for (std::byte &byte : message)
                byte = static_cast<std::byte>(random());
            EXPECT_EQ(run(program, message), std::int64_t{expected_verdict(direction, message)});
        }
    }
}

TEST_F(TapProgram, AsManyRulesAsThereMayBe)
{
    Direction direction;
    direction.verdict = STAP_DROP;
    for (int i = 0; i < STAP_RULES_MAX; ++i) {
        const std::string value = "this is a long rule " + std::to_string(100000 + i);
        direction.rules.push_back(prefix_rule(i % 3 == 0 ? 200 + static_cast<std::uint32_t>(i)
                                                         : static_cast<std::uint32_t>(i % 90),
                                              value, STAP_OK));
    }
    const UniqueFd program = loaded(generate_verdict(direction));
    EXPECT_EQ(run(program, bytes_of_text("nothing like it")), STAP_DROP);
    for (const int i : {0, 1, 511, 1022, 1023}) {
        const stap_rule &rule = direction.rules[static_cast<std::size_t>(i)];
        const std::string value(reinterpret_cast<const char *>(rule.value), rule.width);
        EXPECT_EQ(run(program, bytes_of_text(std::string(rule.offset, '.') + value)), STAP_OK);
    }
}

std::uint32_t id_of(const UniqueFd &program)
{
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    return bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0 ? info.id : 0;
}

TEST_F(TapProgram, EqualOnesAreShared)
{
    Programs programs;
    Direction lines{.framing = delimiter_framing("\n"), .verdict = STAP_OK, .rules = {}};
    Direction other = lines;
    other.rules = {prefix_rule(0, "x", STAP_DROP)};
    const auto first = programs.make(Policy{.send = lines, .recv = other});
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(id_of((*first)[0]), id_of((*first)[2]));
    EXPECT_NE(id_of((*first)[1]), id_of((*first)[3]));
    const auto second = programs.make(Policy{.send = std::nullopt, .recv = lines});
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_FALSE((*second)[0]);
    EXPECT_EQ(id_of((*second)[2]), id_of((*first)[0]));
    EXPECT_EQ(id_of((*second)[3]), id_of((*first)[1]));
}

TEST_F(TapProgram, NobodyHoldsThem)
{
    Programs programs;
    std::uint32_t id = 0;
    {
        const auto set = programs.make(
            Policy{.send = Direction{.framing = fixed_framing(77), .verdict = STAP_OK, .rules = {}},
                   .recv = std::nullopt});
        ASSERT_TRUE(set) << set.error().message;
        id = id_of((*set)[0]);
    }
    for (int i = 0; i < 100; ++i) {
        if (!UniqueFd(bpf_prog_get_fd_by_id(id)))
            return;
        usleep(20000);
    }
    FAIL() << "program " << id << " is still there";
}

} // namespace
} // namespace bpfilter::tap
