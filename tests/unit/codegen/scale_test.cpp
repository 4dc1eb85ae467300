// SPDX-License-Identifier: GPL-2.0
//
// Large tables: they load and judge rightly, or are refused with a sentence.
// InstructionsForARule also prints what the load of BPFILTER_TEST_RULES rules costs (200).
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/packet6.h"
#include "tests/unit/support/seed.h"
#include "tests/unit/support/table.h"
#include "umh/codegen/codegen.h"
#include "umh/core/plan/form.h"
#include "umh/load/map.h"
#include "umh/load/program.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <gtest/gtest.h>
#include <iostream>
#include <netinet/in.h>

namespace bpfilter {
namespace {

using namespace test;

std::string address(unsigned i)
{
    return "10." + std::to_string(i >> 16 & 0xff) + '.' + std::to_string(i >> 8 & 0xff) + '.' +
           std::to_string(i & 0xff);
}

// As in an access list: source, destination, protocol and port.
BuiltTable list_of(unsigned rules)
{
    TableBuilder builder;
    ChainBuilder &input = builder.chain("INPUT", ir::Hook::local_in, ir::Accept{});
    for (unsigned i = 0; i < rules; ++i) {
        test::Tcp tcp;
        tcp.destination = {static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i | 7), false};
        input.rule({from(address(i)), to("192.0.2.0", 24), protocol(IPPROTO_TCP), tcp}, ir::Drop{});
    }
    return builder.build();
}

// The same for IPv6.
BuiltTable list6_of(unsigned rules)
{
    TableBuilder builder;
    builder.family(ir::Family::ipv6);
    ChainBuilder &input = builder.chain("INPUT", ir::Hook::local_in, ir::Accept{});
    for (unsigned i = 0; i < rules; ++i) {
        test::Tcp tcp;
        tcp.destination = {static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i | 7), false};
        input.rule({from("2001:db8::" + std::to_string(i)), to("2001:db8::", 64),
                    protocol(IPPROTO_TCP), tcp},
                   ir::Drop{});
    }
    return builder.build();
}

// A dispatcher chain with a chain for each service, five rules in each.
BuiltTable services_of(unsigned chains)
{
    TableBuilder builder;
    ChainBuilder &input = builder.chain("INPUT", ir::Hook::local_in, ir::Accept{});
    for (unsigned i = 0; i < chains; ++i)
        input.jump({to(address(i)), protocol(IPPROTO_TCP)}, "svc" + std::to_string(i));
    for (unsigned i = 0; i < chains; ++i) {
        ChainBuilder &service = builder.chain("svc" + std::to_string(i));
        for (unsigned n = 0; n < 5; ++n)
            service.count({from("172.16.0." + std::to_string(n))});
    }
    return builder.build();
}

struct Trial {
    Result<UniqueFd> program;
    std::size_t insns = 0;
    std::size_t functions = 0;
    double generate_ms = 0;
    double load_ms = 0;
};

Trial try_load(const ir::Table &table)
{
    using Clock = std::chrono::steady_clock;
    const auto ms = [](Clock::duration time) {
        return std::chrono::duration<double, std::milli>(time).count();
    };
    const UniqueFd context = std::move(*create_context_map(*codegen::context_size(table)));
    const UniqueFd counters =
        std::move(*create_counters_map(static_cast<std::uint32_t>(table.rules.size())));
    const auto start = Clock::now();
    const Result<codegen::Program> program = codegen::generate(table, ir::Hook::local_in, test_run);
    const auto generated = Clock::now();
    if (!program)
        return Trial{std::unexpected(program.error())};
    Trial trial{load_program(*program, {.context = context.get(), .counters = counters.get()})};
    trial.insns = program->insns.size();
    trial.functions = program->functions.size();
    trial.generate_ms = ms(generated - start);
    trial.load_ms = ms(Clock::now() - generated);
    return trial;
}

void report(const char *what, unsigned size, const Trial &trial)
{
    std::cout << what << ' ' << size << ": " << trial.insns << " instructions, " << trial.functions
              << " functions, generated in " << trial.generate_ms << " ms, loaded in "
              << trial.load_ms << " ms: " << (trial.program ? "ok" : trial.program.error().message)
              << '\n';
}

TEST(Scale, ListOfThousandsLoadsAndJudges)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    constexpr unsigned rules = 5000;
    const BuiltTable table = list_of(rules);
    LoadedHook hook(table, ir::Hook::local_in);
    std::vector<ir::Counters> expected(table.rules.size());
    for (const unsigned i : {0U, 1U, 998U, 1500U, 2999U, 4999U}) {
        for (const unsigned port : {i, i + 9}) {
            const PacketBytes packet =
                Packet().source(address(i)).tcp(1, static_cast<std::uint16_t>(port)).bytes();
            EXPECT_EQ(hook.run(packet, {}),
                      judge_and_count(table, ir::Hook::local_in, packet, {}, expected));
        }
    }
    EXPECT_TRUE(hook.counters() == expected);
}

TEST(Scale, ListOfThousandsForIpv6)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    const BuiltTable table = list6_of(5000);
    LoadedHook hook(table, ir::Hook::local_in);
    std::vector<ir::Counters> expected(table.rules.size());
    for (const unsigned i : {0U, 1U, 998U, 2999U, 4999U}) {
        for (const unsigned port : {i, i + 9}) {
            const PacketBytes packet = Packet6()
                                           .source("2001:db8::" + std::to_string(i))
                                           .hop()
                                           .tcp(1, static_cast<std::uint16_t>(port))
                                           .bytes();
            EXPECT_EQ(hook.run(packet, {}),
                      judge_and_count(table, ir::Hook::local_in, packet, {}, expected));
        }
    }
    EXPECT_TRUE(hook.counters() == expected);
}

TEST(Scale, ManyChainsLoadAndJudge)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    const BuiltTable table = services_of(200);
    LoadedHook hook(table, ir::Hook::local_in);
    std::vector<ir::Counters> expected(table.rules.size());
    for (const unsigned i : {0U, 1U, 100U, 199U, 200U}) {
        const PacketBytes packet =
            Packet().source("172.16.0.3").destination(address(i)).tcp(1, 2).bytes();
        EXPECT_EQ(hook.run(packet, {}),
                  judge_and_count(table, ir::Hook::local_in, packet, {}, expected));
    }
    EXPECT_TRUE(hook.counters() == expected);
}

// What plan gives to code: the verifier keeps all branches of a function in mind, and a rule may
// have thousands.
TEST(Scale, LongRulesAreInFunctionsOfTheirOwn)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    TableBuilder builder;
    builder.family(ir::Family::ipv6);
    ChainBuilder &input = builder.chain("INPUT", ir::Hook::local_in, ir::Accept{});
    for (int rule = 0; rule < 2; ++rule) {
        Matches matches{protocol(IPPROTO_MH)};
        for (int i = 0; i < 1600; ++i)
            matches.emplace_back(test::Mobility{});
        input.rule(matches, ir::Drop{});
    }
    const BuiltTable table = builder.build();
    ASSERT_EQ(plan::form_of(table), plan::Form::code);
    const Trial trial = try_load(table);
    ASSERT_TRUE(trial.program) << trial.program.error().message;
}

TEST(Scale, TooManyRulesAreRefused)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    const Trial trial = try_load(list_of(80'000));
    ASSERT_FALSE(trial.program);
    EXPECT_EQ(trial.program.error().code, ENOMEM);
    EXPECT_TRUE(trial.program.error().message.contains("too many rules"))
        << trial.program.error().message;
}

// The verifier takes a million instructions, and tables of 30,000 rules are to fit. How long
// things take is only printed.
TEST(Scale, InstructionsForARule)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    const auto size = static_cast<unsigned>(number_from("BPFILTER_TEST_RULES", 200));
    const Trial none = try_load(list_of(0));
    const Trial list = try_load(list_of(size));
    report("list", size, list);
    ASSERT_TRUE(none.program && list.program);
    EXPECT_LE(list.insns - none.insns, std::size_t{size} * (1'000'000 / 30'000));

    const unsigned chains = std::min(size, 250U);
    const Trial services = try_load(services_of(chains));
    report("services", chains, services);
    EXPECT_TRUE(services.program);

    LoadedHook hook(list_of(size), ir::Hook::local_in);
    std::cout << "miss of all: " << hook.time(Packet().tcp(1, 2).bytes(), 1'000) << " ns\n";
}

} // namespace
} // namespace bpfilter
