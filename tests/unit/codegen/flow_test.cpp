// SPDX-License-Identifier: GPL-2.0
//
// The way through chains: jump, goto, return, policies, depth. Expected counts are stated
// by hand.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/table.h"
#include "umh/codegen/codegen.h"
#include "umh/codegen/key.h"
#include "umh/core/ir/flow.h"

#include "bpfilter/context.h"

#include <cerrno>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace bpfilter {
namespace {

using namespace test;
using testing::ElementsAre;

constexpr auto hook = ir::Hook::forward;

class Flow : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }

    // One packet: its verdict, and the rules that counted it.
    static std::pair<std::uint32_t, std::vector<ir::RuleId>> send(const ir::Table &table)
    {
        LoadedHook loaded(table, hook);
        const std::uint32_t verdict = loaded.run(Packet().udp(1, 2).bytes(), {});
        std::vector<ir::RuleId> counted;
        const std::vector<ir::Counters> counters = loaded.counters();
        for (ir::RuleId id = 0; id < counters.size(); ++id)
            for (std::uint64_t n = 0; n < counters[id].packets; ++n)
                counted.push_back(id);
        return {verdict, counted};
    }
};

const test::Match mismatch = test::Protocol{IPPROTO_TCP, false};

TEST_F(Flow, PolicyCounts)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Drop{}).count({}).rule({mismatch}, ir::Accept{});
    const auto [verdict, counted] = send(builder.build());
    EXPECT_EQ(verdict, BPFILTER_DROP);
    EXPECT_THAT(counted, ElementsAre(0, 2));
}

TEST_F(Flow, QueueIsAVerdict)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Drop{}).rule({}, ir::Queue{});
    EXPECT_EQ(send(builder.build()).first, BPFILTER_QUEUE);
}

TEST_F(Flow, ReturnInABuiltInChainIsThePolicy)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).rule({}, ir::Return{}).rule({}, ir::Drop{});
    const auto [verdict, counted] = send(builder.build());
    EXPECT_EQ(verdict, BPFILTER_ACCEPT);
    EXPECT_THAT(counted, ElementsAre(0, 2));
}

// A hand-made table may have its policies anywhere.
TEST_F(Flow, PolicyAheadOfTheChain)
{
    TableBuilder builder;
    builder.chain("A", ir::Hook::local_in, ir::Drop{});
    builder.chain("FORWARD", hook, ir::Accept{}).rule({}, ir::Return{});
    BuiltTable table = builder.build();
    table.hooks[static_cast<std::size_t>(hook)]->underflow = 0;
    const auto [verdict, counted] = send(table);
    EXPECT_EQ(verdict, BPFILTER_DROP);
    EXPECT_THAT(counted, ElementsAre(0, 1));
}

TEST_F(Flow, JumpComesBackGotoDoesNot)
{
    TableBuilder builder;
    builder
        .chain("FORWARD", hook, ir::Accept{}) // 0, 1, 2, policy 3
        .jump({}, "user")
        .jump({mismatch}, "user")
        .rule({}, ir::Drop{});
    builder.chain("user").go({}, "other").rule({}, ir::Accept{}); // 5, 6, foot 7
    builder.chain("other").count({}).rule({}, ir::Return{});      // 9, 10, foot 11
    const auto [verdict, counted] = send(builder.build());
    EXPECT_EQ(verdict, BPFILTER_DROP);
    EXPECT_THAT(counted, ElementsAre(0, 2, 5, 9, 10));
}

TEST_F(Flow, GotoFromABuiltInChainReturnsToThePolicy)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).go({}, "user").rule({}, ir::Drop{}); // policy 2
    builder.chain("user").count({});                                                  // 4, foot 5
    const auto [verdict, counted] = send(builder.build());
    EXPECT_EQ(verdict, BPFILTER_ACCEPT);
    EXPECT_THAT(counted, ElementsAre(0, 2, 4, 5));
}

// FORWARD calls c0, c0 calls c1, ...; the last accepts nothing, and all feet are passed.
BuiltTable nested(unsigned depth)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).jump({}, "c0");
    for (unsigned i = 0; i < depth; ++i) {
        ChainBuilder &chain = builder.chain("c" + std::to_string(i));
        if (i + 1 < depth)
            chain.jump({}, "c" + std::to_string(i + 1));
        else
            chain.count({});
    }
    return builder.build();
}

TEST_F(Flow, ChainsNestDeeply)
{
    for (const unsigned depth : {1U, 40U, 300U}) {
        const auto [verdict, counted] = send(nested(depth));
        EXPECT_EQ(verdict, BPFILTER_ACCEPT) << depth;
        EXPECT_EQ(counted.size(), 2 + 2 * depth) << depth;
    }
}

TEST_F(Flow, AFullStackDrops)
{
    BuiltTable table = nested(40);
    table.stack_depth = 40;
    EXPECT_EQ(send(table).first, BPFILTER_ACCEPT);
    table.stack_depth = 39;
    const auto [verdict, counted] = send(table);
    EXPECT_EQ(verdict, BPFILTER_DROP);
    EXPECT_EQ(counted.size(), 40); // the jump that failed was counted
    table.stack_depth = 0;
    EXPECT_THAT(send(table).second, ElementsAre(0));
}

TEST_F(Flow, AChainIsCalledFromManyPlaces)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).jump({}, "a").jump({}, "b").jump({}, "a");
    builder.chain("a").count({});                   // 5, foot 6
    builder.chain("b").jump({}, "a").jump({}, "a"); // 8, 9, foot 10
    const auto [verdict, counted] = send(builder.build());
    EXPECT_EQ(verdict, BPFILTER_ACCEPT);
    EXPECT_THAT(counted, ElementsAre(0, 1, 2, 3, 5, 5, 5, 5, 6, 6, 6, 6, 8, 9, 10));
}

TEST(FlowOf, TooDeepAStackIsRefused)
{
    const BuiltTable table = nested(codegen::stack_max + 1);
    const auto size = codegen::context_size(table);
    ASSERT_FALSE(size);
    EXPECT_EQ(size.error().code, ENOMEM);
    const auto largest = codegen::context_size(nested(codegen::stack_max));
    ASSERT_TRUE(largest);
    EXPECT_LE(*largest, 32768U);
}

// The stack is as deep as calls are nested, however many chains there are.
TEST(FlowOf, ManyChainsSideBySideNeedNoDeepStack)
{
    TableBuilder builder;
    ChainBuilder &forward = builder.chain("FORWARD", hook, ir::Accept{});
    for (unsigned i = 0; i < 6000; ++i) {
        forward.jump({mismatch}, "c" + std::to_string(i));
        builder.chain("c" + std::to_string(i)).count({});
    }
    const BuiltTable table = builder.build();
    EXPECT_EQ(ir::stack_need(table), 1U);
    EXPECT_TRUE(codegen::context_size(table));
}

TEST(FlowOf, TheStackIsThatOfTheDeepestWay)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).jump({}, "a").go({mismatch}, "b").jump({}, "c");
    builder.chain("a").jump({mismatch}, "c").count({}).jump({}, "b");
    builder.chain("b").go({}, "c").jump({}, "a");                    // the second is never met
    builder.chain("c").rule({mismatch}, ir::Return{}).jump({}, "d"); // FORWARD, a, (b,) c: d
    builder.chain("d").count({});
    builder.chain("unused").jump({}, "a"); // as deep as it likes
    BuiltTable table = builder.build();
    EXPECT_EQ(ir::stack_need(table), 3U);
    table.stack_depth = 2;
    EXPECT_EQ(ir::stack_need(table), 2U);
}

TEST(FlowOf, EveryHookCounts)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{}).count({});
    builder.chain("FORWARD", hook, ir::Accept{}).jump({}, "a");
    builder.chain("OUTPUT", ir::Hook::local_out, ir::Accept{}).jump({}, "b");
    builder.chain("a").count({});
    builder.chain("b").jump({}, "a");
    EXPECT_EQ(ir::stack_need(builder.build()), 2U);
}

TEST(FlowOf, ListsWhatCanBeReached)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).jump({mismatch}, "user").rule({}, ir::Drop{});
    builder.chain("user").count({});
    builder.chain("unused").count({});
    const ir::Flow flow = ir::find_flow(builder.build(), hook);
    EXPECT_TRUE(flow.jumps);
    EXPECT_THAT(flow.entries, ElementsAre(0, 1, 2, 4)); // 2: the policy, of RETURN
    EXPECT_THAT(flow.rules, ElementsAre(0, 1, 2, 4, 5));
}

} // namespace
} // namespace bpfilter
