// SPDX-License-Identifier: GPL-2.0
//
// Records that leave the walker for an instance and come back. The test is the module: what an
// instance answers, and what it makes of a packet, it says here.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/written.h"

#include <bpfilter/context.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bpfilter {
namespace {

using namespace test;
using ir::Field;
using ::testing::ElementsAre;

// At INPUT; the last rule is the policy.
ir::Table table_of(std::vector<std::pair<ir::Conditions, ir::Verdict>> rules)
{
    ir::Table table;
    for (auto &[conditions, verdict] : rules)
        table.rules.push_back(
            {static_cast<ir::RuleId>(table.rules.size()), std::move(conditions), verdict, {}});
    table.hooks[1] =
        ir::HookEntry{.entry = 0, .underflow = static_cast<ir::RuleId>(table.rules.size() - 1)};
    table.stack_depth = 2;
    return table;
}

// Answers from a list, and notes who was called.
class Scripted final : public Module {
public:
    struct Line {
        Answer answer;
        std::optional<PacketBytes> packet = {};
        std::optional<std::uint32_t> mark = {};
    };

    explicit Scripted(std::vector<Line> lines) : lines_(std::move(lines)) {}

    Answer call(std::uint32_t instance, CalledPacket &packet) override
    {
        called.push_back(instance);
        const Line &line = lines_.at(called.size() - 1);
        if (line.packet)
            packet.bytes = *line.packet;
        if (line.mark)
            packet.mark = *line.mark;
        return line.answer;
    }

    std::vector<std::uint32_t> called;

private:
    std::vector<Line> lines_;
};

ir::Surroundings marked(std::uint32_t mark)
{
    ir::Surroundings around;
    around.mark = mark;
    return around;
}

constexpr Module::Answer yes{{}, true};
constexpr Module::Answer no{{}, false};
constexpr Module::Answer goes_on{};

class Call : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }

    // The verdict; what was counted is in `counters`.
    std::uint32_t run(const ir::Table &table, Scripted &module, const PacketBytes &packet,
                      const ir::Surroundings &around = {}, std::uint32_t depth = 0)
    {
        Written written(arenas, table);
        const std::uint32_t verdict =
            written.run(ir::Hook::local_in, packet, around, 0, &module, depth);
        packets.clear();
        bytes.clear();
        for (const ir::Counters &one : written.counters()) {
            packets.push_back(one.packets);
            bytes.push_back(one.bytes);
        }
        mark = written.mark();
        return verdict;
    }

    Arenas arenas{test_run_l3};
    PacketBytes packet = Packet().udp(1000, 53).bytes();
    std::vector<std::uint64_t> packets;
    std::vector<std::uint64_t> bytes;
    std::uint32_t mark = 0;
};

TEST_F(Call, TheRuleGoesOnBehindAMatch)
{
    const ir::Table table = table_of({{{ir::Range{Field::protocol, 17, 0}, ir::Kernel{7},
                                        ir::Range{Field::destination_port, 53, 0}, ir::Kernel{9}},
                                       ir::Drop{}},
                                      {{}, ir::Accept{}}});
    Scripted both({{yes}, {yes}});
    EXPECT_EQ(run(table, both, packet), BPFILTER_DROP);
    EXPECT_THAT(both.called, ElementsAre(7, 9));
    EXPECT_THAT(packets, ElementsAre(1, 0));

    Scripted first({{no}});
    EXPECT_EQ(run(table, first, packet), BPFILTER_ACCEPT);
    EXPECT_THAT(first.called, ElementsAre(7));
    EXPECT_THAT(packets, ElementsAre(0, 1));

    Scripted second({{yes}, {no}});
    EXPECT_EQ(run(table, second, packet), BPFILTER_ACCEPT);
    EXPECT_THAT(second.called, ElementsAre(7, 9));
}

// It changes what the kernel knows, so it is asked when ip_tables would, and not otherwise.
TEST_F(Call, WhatStandsBeforeAMatchIsAskedBefore)
{
    const ir::Condition other_port = ir::Range{Field::destination_port, 54, 0};
    Scripted none({});
    EXPECT_EQ(run(table_of({{{other_port, ir::Kernel{1}}, ir::Drop{}}, {{}, ir::Accept{}}}), none,
                  packet),
              BPFILTER_ACCEPT);
    EXPECT_THAT(none.called, ElementsAre());

    Scripted asked({{yes}});
    EXPECT_EQ(run(table_of({{{ir::Kernel{1}, other_port}, ir::Drop{}}, {{}, ir::Accept{}}}), asked,
                  packet),
              BPFILTER_ACCEPT);
    EXPECT_THAT(asked.called, ElementsAre(1));
}

TEST_F(Call, AHeaderThatIsCutOffDropsBehindAMatchAlone)
{
    const ir::Table table = table_of(
        {{{ir::Range{Field::protocol, 6, 0}, ir::Kernel{1}, ir::Require{Field::tcp}}, ir::Accept{}},
         {{}, ir::Accept{}}});
    PacketBytes cut = Packet().tcp(1, 2).bytes();
    cut.resize(30);
    Scripted matches({{yes}});
    EXPECT_EQ(run(table, matches, cut), BPFILTER_DROP);
    EXPECT_THAT(packets, ElementsAre(0, 0));
    Scripted does_not({{no}});
    EXPECT_EQ(run(table, does_not, cut), BPFILTER_ACCEPT);
    EXPECT_THAT(packets, ElementsAre(0, 1));
}

TEST_F(Call, AMatchThatWantsThePacketDroppedCountsNothing)
{
    Scripted hotdrop({{Module::Answer{BPFILTER_DROP}}});
    EXPECT_EQ(run(table_of({{{ir::Kernel{3}}, ir::Accept{}}, {{}, ir::Accept{}}}), hotdrop, packet),
              BPFILTER_DROP);
    EXPECT_THAT(packets, ElementsAre(0, 0));
}

TEST_F(Call, ATargetIsCountedBeforeItIsCalled)
{
    const ir::Table table = table_of({{{}, ir::KernelTarget{4}}, {{}, ir::Accept{}}});
    Scripted verdict({{Module::Answer{BPFILTER_QUEUE}}});
    EXPECT_EQ(run(table, verdict, packet), BPFILTER_QUEUE);
    EXPECT_THAT(verdict.called, ElementsAre(4));
    EXPECT_THAT(packets, ElementsAre(1, 0));

    Scripted none({{goes_on}});
    EXPECT_EQ(run(table, none, packet), BPFILTER_ACCEPT);
    EXPECT_THAT(packets, ElementsAre(1, 1));
}

TEST_F(Call, ATargetThatChangesThePacketHasItReadAnew)
{
    const ir::Table table = table_of({{{}, ir::KernelTarget{4}},
                                      {{ir::Range{Field::protocol, 6, 0}, ir::Require{Field::tcp},
                                        ir::Range{Field::destination_port, 80, 0}},
                                       ir::Drop{}},
                                      {{}, ir::Accept{}}});
    const PacketBytes other = Packet().tcp(1, 80).payload(100).bytes();
    Scripted changes({{goes_on, other}});
    EXPECT_EQ(run(table, changes, packet), BPFILTER_DROP);
    EXPECT_THAT(packets, ElementsAre(1, 1, 0));
    EXPECT_THAT(bytes, ElementsAre(packet.size(), other.size(), 0));
}

// From one way to the other and back, within a chain: what it returns to changes too.
TEST_F(Call, ATargetMayCutAHeaderOff)
{
    const ir::Conditions tcp{ir::Range{Field::protocol, 6, 0}, ir::Require{Field::tcp}};
    ir::Table table = table_of({{{}, ir::Jump{3}},         // 0
                                {tcp, ir::Continue{}},     // 1
                                {{}, ir::Accept{}},        // 2: the policy
                                {{}, ir::KernelTarget{1}}, // 3
                                {{}, ir::Return{}},        // 4
                                {{}, ir::Drop{}}});
    table.hooks[1]->underflow = 2;
    const PacketBytes whole = Packet().tcp(1, 80).bytes();
    PacketBytes cut = whole;
    cut.resize(30);

    Scripted cuts({{goes_on, cut}});
    EXPECT_EQ(run(table, cuts, whole), BPFILTER_DROP) << "for the header that is cut off";
    EXPECT_THAT(packets, ElementsAre(1, 0, 0, 1, 1, 0));
    Scripted mends({{goes_on, whole}});
    EXPECT_EQ(run(table, mends, cut), BPFILTER_ACCEPT);
    EXPECT_THAT(packets, ElementsAre(1, 1, 1, 1, 1, 0));
    Scripted leaves({{goes_on}});
    EXPECT_EQ(run(table, leaves, cut), BPFILTER_DROP);
    EXPECT_THAT(packets, ElementsAre(1, 0, 0, 1, 1, 0));
}

TEST_F(Call, ATargetMayCutOffWhatTheNextRuleAsksFor)
{
    const ir::Conditions tcp{ir::Range{Field::protocol, 6, 0}, ir::Require{Field::tcp}};
    const ir::Table table =
        table_of({{{}, ir::KernelTarget{1}}, {tcp, ir::Continue{}}, {{}, ir::Accept{}}});
    const PacketBytes whole = Packet().tcp(1, 80).bytes();
    PacketBytes cut = whole;
    cut.resize(30);

    Scripted cuts({{goes_on, cut}});
    EXPECT_EQ(run(table, cuts, whole), BPFILTER_DROP);
    EXPECT_THAT(packets, ElementsAre(1, 0, 0));
    Scripted mends({{goes_on, whole}});
    EXPECT_EQ(run(table, mends, cut), BPFILTER_ACCEPT);
    EXPECT_THAT(packets, ElementsAre(1, 1, 1));
}

TEST_F(Call, MarksAreSetAndSeen)
{
    const ir::Table table =
        table_of({{{ir::Range{Field::mark, 0x105, 0}}, ir::SetField{Field::mark, ~0xffU, 0x42}},
                  {{ir::Range{Field::mark, 0x142, 0}}, ir::Continue{}},
                  {{}, ir::SetField{Field::mark, 0xff, 0x12}},
                  {{ir::Range{Field::mark, 0x50, 0}}, ir::Drop{}},
                  {{}, ir::Accept{}}});
    Scripted none({});
    EXPECT_EQ(run(table, none, packet, marked(0x105)), BPFILTER_DROP);
    EXPECT_THAT(packets, ElementsAre(1, 1, 1, 1, 0));
    EXPECT_EQ(mark, 0x50U);
    EXPECT_EQ(run(table, none, packet), BPFILTER_ACCEPT);
    EXPECT_THAT(packets, ElementsAre(0, 0, 1, 0, 1));
    EXPECT_EQ(mark, 0x12U);
}

// Also where no rule asks for it.
TEST_F(Call, AMarkIsSetThatNobodyAsksFor)
{
    Scripted none({});
    EXPECT_EQ(run(table_of({{{}, ir::SetField{Field::mark, 0xf0, 5}}, {{}, ir::Accept{}}}), none,
                  packet, marked(0x1f1)),
              BPFILTER_ACCEPT);
    EXPECT_EQ(mark, 0xf5U);
}

TEST_F(Call, AMatchMayRestoreAMark)
{
    const ir::Table table =
        table_of({{{ir::Kernel{1}, ir::Range{Field::mark, 9, 0}}, ir::Drop{}}, {{}, ir::Accept{}}});
    Scripted restores({{yes, {}, 9}});
    EXPECT_EQ(run(table, restores, packet), BPFILTER_DROP);
    Scripted does_not({{yes}});
    EXPECT_EQ(run(table, does_not, packet), BPFILTER_ACCEPT);
}

// A target sends a packet from within, which meets the same hook, deeper: nothing of the one that
// is on its way is touched.
class Nested final : public Module {
public:
    Nested(Written &written, PacketBytes inner) : written_(written), inner_(std::move(inner)) {}

    Answer call(std::uint32_t, CalledPacket &) override
    {
        if (depth_ + 1 == BPFILTER_NESTING)
            return {};
        ++depth_;
        verdicts.push_back(Inner{written_, inner_, *this, depth_}.run());
        --depth_;
        return {};
    }

    std::vector<std::uint32_t> verdicts;

private:
    struct Inner {
        Written &written;
        const PacketBytes &packet;
        Nested &module;
        std::uint32_t depth;
        std::uint32_t run() const
        {
            return written.run(ir::Hook::local_in, packet, {}, 0, &module, depth);
        }
    };

    Written &written_;
    PacketBytes inner_;
    std::uint32_t depth_ = 0;
};

TEST_F(Call, NestedPacketsHaveStacksOfTheirOwn)
{
    ir::Table table = table_of({{{}, ir::Jump{3}},
                                {{ir::Range{Field::protocol, 17, 0}}, ir::Drop{}},
                                {{}, ir::Accept{}}, // the policy
                                {{ir::Range{Field::protocol, 17, 0}}, ir::KernelTarget{1}},
                                {{}, ir::Goto{6}},
                                {{}, ir::Drop{}},
                                {{ir::Range{Field::protocol, 6, 0}}, ir::KernelTarget{2}},
                                {{}, ir::Return{}},
                                {{}, ir::Drop{}}});
    table.hooks[1]->underflow = 2;
    Written written(arenas, table);
    Nested module(written, Packet().tcp(1, 2).bytes());
    EXPECT_EQ(written.run(ir::Hook::local_in, packet, {}, 0, &module), BPFILTER_DROP);
    EXPECT_THAT(module.verdicts, ElementsAre(BPFILTER_ACCEPT, BPFILTER_ACCEPT, BPFILTER_ACCEPT));
    std::vector<std::uint64_t> packets;
    for (const ir::Counters &one : written.counters())
        packets.push_back(one.packets);
    EXPECT_THAT(packets, ElementsAre(4, 1, 3, 1, 4, 0, 3, 4, 0));
}

} // namespace
} // namespace bpfilter
