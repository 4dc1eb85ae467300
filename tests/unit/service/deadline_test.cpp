// SPDX-License-Identifier: GPL-2.0
//
// A request that takes too long ends: whatever goes through all of a table asks whether it is time.
#include "tests/unit/service/service.h"
#include "umh/codegen/codegen.h"
#include "umh/core/blob/canonical.h"
#include "umh/core/blob/chains.h"
#include "umh/core/blob/entry.h"
#include "umh/core/blob/reach.h"
#include "umh/core/blob/rules.h"
#include "umh/core/ir/flow.h"
#include "umh/core/records/encode.h"
#include "umh/core/records/wants.h"
#include "umh/util/deadline.h"

#include <linux/netfilter/xt_multiport.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <gmock/gmock.h>
#include <optional>
#include <thread>
#include <vector>

namespace bpfilter {
namespace {

using Clock = Deadline::Clock;
using test::Blob;
using test::Rule;

// More than there may be done between two looks at the clock.
constexpr int many = 2000;

void look_often()
{
    for (int i = 0; i < many; ++i)
        Deadline::look();
}

TEST(DeadlineTest, IsOfTheThreadThatHasIt)
{
    look_often();
    EXPECT_EQ(Deadline::until(), Clock::time_point::max());
    const Deadline over(Clock::now());
    EXPECT_THROW(look_often(), TimeIsUp);
    EXPECT_THROW(Deadline::look(many), TimeIsUp) << "much work at once";
    std::thread(look_often).join();
}

TEST(DeadlineTest, ALaterOneIsNone)
{
    const auto soon = Clock::now();
    const Deadline over(soon);
    {
        const Deadline later(soon + std::chrono::hours(1));
        EXPECT_EQ(Deadline::until(), soon);
    }
    EXPECT_EQ(Deadline::until(), soon);
}

TEST(DeadlineTest, AnEarlierOneIsForAsLongAsItIsThere)
{
    const auto late = Clock::now() + std::chrono::hours(1);
    const Deadline deadline(late);
    {
        const Deadline over(Clock::now());
        EXPECT_THROW(look_often(), TimeIsUp);
    }
    EXPECT_EQ(Deadline::until(), late);
    look_often();
}

xt_multiport_v1 fifteen_ports()
{
    xt_multiport_v1 ports{};
    ports.flags = XT_MULTIPORT_EITHER;
    ports.count = XT_MULTI_PORTS;
    for (std::size_t i = 0; i < XT_MULTI_PORTS; ++i)
        ports.ports[i] = static_cast<std::uint16_t>(10 * i);
    return ports;
}

// What is done to a table, thing by thing, each after all before it was done in time.
class Stages : public ::testing::Test {
protected:
    Stages() : layout_(**blob::find_layout(ir::Family::ipv4))
    {
        Blob blob;
        for (int i = 0; i < many; ++i)
            blob.rule("INPUT", Rule().tcp({.dport = {80, 80}}).jump("c"));
        blob.chain("c").rule("c", Rule().udp().drop());
        bytes_ = blob.build().bytes;
        request_ = *blob::read_request(bytes_, layout_);
        decoded_ = *blob::decode_replace(bytes_, layout_);
        entries_ = *blob::walk_entries(request_, layout_);
        hooks_ = *blob::check_hooks(request_, entries_);
        reach_ = *blob::mark_reach(request_, entries_, hooks_);
        chains_ = blob::find_chains(request_, entries_, hooks_);
        wants_ = records::wants_of(decoded_.table);
    }

    template <typename F> static void expect_end(const char *what, F f)
    {
        const Deadline over(Clock::now());
        EXPECT_THROW((void)f(), TimeIsUp) << what;
    }

    const blob::Layout &layout_;
    std::vector<std::byte> bytes_;
    blob::Request request_;
    blob::DecodedTable decoded_;
    blob::Entries entries_;
    blob::HookTable hooks_{};
    std::vector<std::uint32_t> reach_;
    blob::Chains chains_;
    records::HookWants wants_;
};

TEST_F(Stages, OfDecoding)
{
    std::vector<blob::KernelEntry> checks;
    expect_end("walk_entries", [&] { return blob::walk_entries(request_, layout_); });
    expect_end("mark_reach", [&] { return blob::mark_reach(request_, entries_, hooks_); });
    expect_end("find_chains", [&] { return blob::find_chains(request_, entries_, hooks_); });
    const blob::RuleContext context{layout_, "filter", entries_, reach_, chains_};
    expect_end("decode_rules", [&] { return blob::decode_rules(context, checks); });
    const auto rules = blob::decode_rules(context, checks);
    ASSERT_TRUE(rules);
    expect_end("make_canonical", [&] {
        blob::make_canonical(bytes_, entries_, rules->uses, layout_, reach_);
        return 0;
    });
}

// Texts are the last thing that is made while the rules can still be asked for.
TEST_F(Stages, OfTexts)
{
    std::vector<blob::KernelEntry> checks;
    std::optional<Deadline> over;
    const auto all = [&](const ir::Table &table) {
        over.emplace(Clock::now());
        return table.rules.size();
    };
    EXPECT_THROW((void)blob::decode_replace(bytes_, 0, layout_, checks, all), TimeIsUp);
}

TEST_F(Stages, OfPlanning)
{
    const ir::Table &table = decoded_.table;
    expect_end("parts_of", [&] { return ir::parts_of(table); });
    expect_end("find_flow", [&] { return ir::find_flow(table, ir::Hook::local_in); });
    expect_end("stack_need", [&] { return ir::stack_need(table); });
    expect_end("wants_of", [&] { return records::wants_of(table); });
    expect_end("size_of", [&] { return records::size_of(table, wants_); });
}

TEST_F(Stages, OfEncoding)
{
    const ir::Table &table = decoded_.table;
    std::vector<std::byte> memory(records::size_of(table, wants_).rules);
    expect_end("encode", [&] { return records::encode(table, wants_, memory, 0, {}); });
    expect_end("generate", [&] { return codegen::generate(table, ir::Hook::local_in); });
}

// Rules that are few and long.
TEST(StagesTest, OfManyMatches)
{
    const xt_multiport_v1 ports = fifteen_ports();
    Rule rule = Rule().protocol(IPPROTO_TCP);
    for (int i = 0; i < 700; ++i)
        rule.match("multiport", 1, std::as_bytes(std::span(&ports, 1)));
    const auto bytes = Blob().rule("INPUT", rule.drop()).build().bytes;
    const blob::Layout &layout = **blob::find_layout(ir::Family::ipv4);
    const auto decoded = blob::decode_replace(bytes, layout);
    ASSERT_TRUE(decoded) << decoded.error().message;
    const records::HookWants wants = records::wants_of(decoded->table);

    const Deadline over(Clock::now());
    EXPECT_THROW((void)blob::decode_replace(bytes, layout), TimeIsUp);
    EXPECT_THROW((void)records::wants_of(decoded->table), TimeIsUp);
    EXPECT_THROW((void)records::size_of(decoded->table, wants), TimeIsUp);
}

} // namespace

namespace service {
namespace {

using DeadlineServiceTest = ServiceTest;

TEST_P(DeadlineServiceTest, WhatTakesTooLongIsENOMEMAndTheOldTableStays)
{
    ASSERT_TRUE(replace(Blob().rule("INPUT", Rule().udp().drop())));
    const Info before = info();
    Blob blob;
    for (int i = 0; i < many; ++i)
        blob.rule("INPUT", Rule().tcp({.dport = {80, 80}}).drop());
    const auto large = blob.build(before.num_entries).bytes;
    {
        const Deadline over(Clock::now());
        const Outcome outcome = ask(BPFILTER_OP_REPLACE, large);
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code, ENOMEM);
        EXPECT_THAT(outcome.error().message, testing::HasSubstr("REPLACE: it takes too long"));
    }
    EXPECT_EQ(info().size, before.size);
    EXPECT_TRUE(replace(Blob().rule("INPUT", Rule().tcp().drop())))
        << "what comes behind it has time of its own";
}

// The module has it in force: a helper that did not know of it would be of no use.
TEST_P(DeadlineServiceTest, WhatIsReplayedHasAllTheTimeThatTheModuleGives)
{
    const auto payload = Blob().rule("INPUT", Rule().udp().drop()).build(4).bytes;
    ASSERT_TRUE(ask(BPFILTER_OP_REPLACE, payload));
    Service successor(kernel, 16);
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    auto replay = pipe::bytes_of(name);
    replay.insert(replay.end(), payload.begin(), payload.end());
    kernel.until = Clock::time_point::min();
    ASSERT_TRUE(ask(successor, BPFILTER_OP_REPLAY, replay));
    EXPECT_EQ(kernel.until, Clock::time_point::max());
}

INSTANTIATE_TEST_SUITE_P(Forms, DeadlineServiceTest, forms, form_name);

} // namespace
} // namespace service
} // namespace bpfilter
