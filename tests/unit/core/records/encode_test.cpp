// SPDX-License-Identifier: GPL-2.0
//
// What tables become in the arena, as text. That it means the same is for load/written_test.cpp.
#include "umh/bpf/record.h"
#include "umh/core/records/encode.h"
#include "umh/core/records/text.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <utility>
#include <vector>

namespace bpfilter::records {
namespace {

using ir::Field;

// At INPUT; the last rule is the policy.
ir::Table table_of(std::vector<std::pair<ir::Conditions, ir::Verdict>> rules)
{
    ir::Table table;
    for (auto &[conditions, verdict] : rules)
        table.rules.push_back(
            {static_cast<ir::RuleId>(table.rules.size()), std::move(conditions), verdict, {}});
    table.hooks[1] =
        ir::HookEntry{.entry = 0, .underflow = static_cast<ir::RuleId>(table.rules.size() - 1)};
    table.stack_depth = 1;
    return table;
}

std::string encoded(const ir::Table &table)
{
    constexpr std::uint32_t place = 4096;
    const HookWants wants = wants_of(table);
    std::vector<std::byte> bytes(size_of(table, wants).rules);
    const Encoded encoded = encode(table, wants, bytes, place, {.place = 64, .stride = 64});
    EXPECT_LE(encoded.used, bytes.size());
    return text(bytes, place, encoded, table.rules.size());
}

TEST(Records, AProtocolAndItsPortsAreOneRange)
{
    const ir::Range to_80{Field::destination_port, 80, 3};
    EXPECT_EQ(encoded(table_of(
                  {{{ir::Range{Field::protocol, IPPROTO_UDP, 0}, ir::Require{Field::ports}, to_80},
                    ir::Accept{}},
                   {{}, ir::Drop{}}})),
              "usual\n"
              "0: protocol_destination_port in 0x230050+0x3 -> accept 0\n"
              "1: -> drop 1\n"
              "exact\n"
              "0: protocol = 0x11 -> test ports = 0x2 ? cut off : (test ports = 0x0 ? (test "
              "destination_port in 0x50+0x3 ? accept 0 : fail) : fail)\n"
              "1: -> drop 1\n");
}

// ip_tables' match of TCP wants to see 20 bytes, and has_ports of TCP says that they are there; so
// ports of another match behind "-p tcp" are not that range.
TEST(Records, AHeaderOfAnotherProtocolIsAskedForItself)
{
    EXPECT_TRUE(
        encoded(table_of({{{ir::Range{Field::protocol, IPPROTO_TCP, 0}, ir::Require{Field::ports},
                            ir::Range{Field::destination_port, 80, 0}},
                           ir::Accept{}},
                          {{}, ir::Drop{}}}))
            .starts_with(
                "usual\n0: destination_port = 0x50, protocol = 0x6, ports = 0x0 -> accept"));
}

// On the usual way they are no more cut off than the header that has_ports is about.
TEST(Records, AHeaderOfWhichLessOrMoreIsAskedIsThatRangeToo)
{
    const auto usual = [](std::uint32_t protocol, Field state) {
        const std::string text =
            encoded(table_of({{{ir::Range{Field::protocol, protocol, 0}, ir::Require{state},
                                ir::Require{state}, ir::Range{Field::destination_port, 80, 0}},
                               ir::Accept{}},
                              {{}, ir::Drop{}}}));
        return text.substr(0, text.find("1:"));
    };
    EXPECT_EQ(usual(IPPROTO_TCP, Field::pair),
              "usual\n0: protocol_destination_port = 0xd0050 -> accept 0\n");
    EXPECT_EQ(usual(IPPROTO_UDP, Field::pair),
              "usual\n0: protocol_destination_port = 0x230050 -> accept 0\n");
    EXPECT_EQ(usual(IPPROTO_SCTP, Field::sctp),
              "usual\n0: protocol_destination_port = 0x1090050 -> accept 0\n");
}

TEST(Records, WhatIsNoRangeStandsBehindTheRecord)
{
    EXPECT_EQ(
        encoded(table_of({{{ir::Not{{ir::Range{Field::ttl, 1, 0}, ir::Range{Field::tos, 2, 0}}},
                            ir::AnyOf{{{ir::Range{Field::length, 1, 0}},
                                       {ir::Masked{Field::source, 0xff, 7, 1}}}},
                            ir::Range{Field::protocol, 1, 0}},
                           ir::Continue{}},
                          {{}, ir::Drop{}}})),
        "usual\n"
        "0: protocol = 0x1 -> test ttl = 0x1 ? (test tos = 0x2 ? fail : (test length = 0x1 ? "
        "count 0 : (test source & 0xff in 0x7+0x1 ? count 0 : fail))) : (test length = 0x1 ? "
        "count 0 : (test source & 0xff in 0x7+0x1 ? count 0 : fail))\n"
        "1: -> drop 1\n");
}

TEST(Records, MoreThanThreeRangesStandBehindTheRecordToo)
{
    const std::string text =
        encoded(table_of({{{ir::Range{Field::tos, 1, 0}, ir::Range{Field::ttl, 1, 0},
                            ir::Range{Field::protocol, 1, 0}, ir::Range{Field::length, 1, 1}},
                           ir::Accept{}},
                          {{}, ir::Drop{}}}));
    EXPECT_EQ(text, "usual\n"
                    "0: length in 0x1+0x1, tos = 0x1, ttl = 0x1 -> test protocol = 0x1 ? accept 0 "
                    ": fail\n"
                    "1: -> drop 1\n");
}

TEST(Records, AFieldFarAwayAndAListStandBehindIt)
{
    EXPECT_EQ(encoded(table_of({{{ir::Range{Field::hop_option_3, 5, 0},
                                  ir::Listed{ir::List::route, {{1, 2, 3, 4}, {5, 6, 7, 8}}}},
                                 ir::Return{}},
                                {{}, ir::Drop{}}})),
              "usual\n"
              "0: -> test hop_option_3 = 0x5 ? (route has 2 ? return 0 : fail) : fail\n"
              "1: -> drop 1\n");
}

// As many bytes as it comes to be are taken of an arena, not as it might be: a large one is
// counted.
TEST(Records, ALargeTableIsCounted)
{
    std::vector<std::pair<ir::Conditions, ir::Verdict>> rules;
    for (std::uint32_t i = 0; i < 1000; ++i)
        rules.push_back({{ir::Range{Field::source, i, 0}, ir::Range{Field::protocol, 6, 0},
                          ir::Require{Field::tcp}, ir::Range{Field::destination_port, i, 0},
                          ir::Range{Field::hop_option_0, i, 0}},
                         ir::Jump{1000}});
    rules.push_back({{}, ir::Drop{}});
    const ir::Table table = table_of(std::move(rules));
    const HookWants wants = wants_of(table);
    const Size size = size_of(table, wants);
    std::vector<std::byte> bytes(size.rules);
    EXPECT_EQ(encode(table, wants, bytes, 4096, {}).used, size.rules);
}

// The same header asked for again and again, and what stands behind that on both ways, are there
// once: rules of 800 matches, each of which asks for it, took sixteen times their bytes.
TEST(Records, WhatIsAskedBehindAHeaderStandsThereOnce)
{
    constexpr std::uint32_t matches = 800;
    ir::Conditions conditions;
    for (std::uint32_t i = 0; i < matches; ++i) {
        conditions.push_back(ir::Require{Field::hop});
        conditions.push_back(ir::Range{Field::hop_options, 1, 15}); // as `hbh` asks each time
        conditions.push_back(ir::Range{Field::hop_option_0, i, 0});
    }
    const ir::Table table = table_of({{conditions, ir::Jump{1}}, {{}, ir::Drop{}}});
    const HookWants wants = wants_of(table);
    std::vector<std::byte> bytes(std::size_t{matches} * 200);
    const Encoded encoded = encode(table, wants, bytes, 4096, {});
    constexpr std::size_t beside = 512; // roots, records, the header itself
    EXPECT_LE(encoded.used, matches * sizeof(bpfilter_test) + beside);
}

TEST(Records, JumpsStayOnTheirWay)
{
    const ir::Require asks{Field::tcp};
    EXPECT_EQ(
        encoded(table_of(
            {{{asks}, ir::Jump{2}}, {{}, ir::Goto{3}}, {{}, ir::Return{}}, {{}, ir::Queue{}}})),
        "usual\n"
        "0: tcp = 0x0 -> jump 2 count 0\n"
        "1: -> goto 3 count 1\n"
        "2: -> return 2\n"
        "3: -> queue 3\n"
        "exact\n"
        "0: -> test tcp = 0x2 ? cut off : (test tcp = 0x0 ? jump 2 count 0 : fail)\n"
        "1: -> goto 3 count 1\n"
        "2: -> return 2\n"
        "3: -> queue 3\n");
}

TEST(Records, ARuleThatNeverMatchesMayStillDrop)
{
    const std::string text = encoded(
        table_of({{{ir::Require{Field::tcp}, ir::Never{}}, ir::Accept{}}, {{}, ir::Drop{}}}));
    EXPECT_EQ(text, "usual\n"
                    "0: tcp = 0x0 -> fail\n"
                    "1: -> drop 1\n"
                    "exact\n"
                    "0: -> test tcp = 0x2 ? cut off : (test tcp = 0x0 ? fail : fail)\n"
                    "1: -> drop 1\n");
}

// Nothing goes from one side of it to the other.
TEST(Records, AnInstanceKeepsItsPlace)
{
    const ir::Range udp{Field::protocol, IPPROTO_UDP, 0};
    const ir::Range to_80{Field::destination_port, 80, 0};
    EXPECT_EQ(
        encoded(table_of(
            {{{udp, ir::Kernel{5}, ir::Require{Field::ports}, to_80, ir::Kernel{6}}, ir::Accept{}},
             {{}, ir::Drop{}}})),
        "usual\n"
        "0: protocol = 0x11 -> call 5 ? (test ports = 0x0 ? (test destination_port = 0x50 ? "
        "(call 6 ? accept 0 : fail) : fail) : fail) : fail\n"
        "1: -> drop 1\n"
        "exact\n"
        "0: protocol = 0x11 -> call 5 ? (test ports = 0x2 ? cut off : (test ports = 0x0 ? (test "
        "destination_port = 0x50 ? (call 6 ? accept 0 : fail) : fail) : fail)) : fail\n"
        "1: -> drop 1\n");
}

TEST(Records, TargetsOfTheKernelAndMarks)
{
    EXPECT_EQ(encoded(table_of({{{}, ir::KernelTarget{3}},
                                {{}, ir::SetField{Field::mark, 0xff, 0x100}},
                                {{}, ir::Drop{}}})),
              "usual\n"
              "0: -> target 3 count 0\n"
              "1: -> mark & 0xff ^ 0x100 count 1\n"
              "2: -> drop 2\n");
}

TEST(Wants, AreOfTheRulesThatAHookComesTo)
{
    ir::Table table =
        table_of({{{ir::Range{Field::in_0, 1, 0}}, ir::Jump{3}},
                  {{}, ir::Accept{}},
                  {{ir::Require{Field::tcp}}, ir::Accept{}}, // of no hook
                  {{ir::Range{Field::protocol, 17, 0}, ir::Require{Field::ports}}, ir::Drop{}},
                  {{}, ir::Return{}}});
    table.hooks[1]->underflow = 1;
    table.hooks[2] = ir::HookEntry{.entry = 1, .underflow = 1};
    const HookWants wants = wants_of(table);
    EXPECT_EQ(ir::text(wants[1].parts), "ip devices walk transport");
    EXPECT_EQ(wants[1].odd, std::uint32_t{BPFILTER_ODD_PORTS_HERE});
    EXPECT_EQ(ir::text(wants[2].parts), "");
    EXPECT_EQ(wants[2].odd, 0U);
}

TEST(Wants, AHeaderThatIsAskedForWithoutItsProtocolMattersForAll)
{
    const auto odd = [](ir::Conditions conditions) {
        return wants_of(table_of({{std::move(conditions), ir::Accept{}}, {{}, ir::Drop{}}}))[1].odd;
    };
    const ir::Range tcp{Field::protocol, IPPROTO_TCP, 0};
    EXPECT_EQ(odd({tcp, ir::Require{Field::tcp}}), std::uint32_t{BPFILTER_ODD_TCP_HERE});
    EXPECT_EQ(odd({ir::Require{Field::tcp}, tcp}), std::uint32_t{BPFILTER_ODD_TCP});
    EXPECT_EQ(odd({tcp, ir::Require{Field::ports}}), std::uint32_t{BPFILTER_ODD_PORTS});
    EXPECT_EQ(odd({ir::Require{Field::tcp_options}}), std::uint32_t{BPFILTER_ODD_TCP_OPTIONS});
}

} // namespace
} // namespace bpfilter::records
