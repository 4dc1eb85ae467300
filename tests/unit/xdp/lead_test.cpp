// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/table.h"
#include "umh/xdp/lead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>

namespace bpfilter {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<ir::RuleId> ids(std::span<const ir::Rule> rules)
{
    std::vector<ir::RuleId> result;
    for (const ir::Rule &rule : rules)
        result.push_back(rule.id);
    return result;
}

TEST(Lead, GoesOnToThePolicy)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({in("eth0"), from("10.0.0.1")}, ir::Drop{})
        .count({protocol(6)});
    const ir::Table table = builder.build();
    EXPECT_THAT(ids(xdp::leading_rules(table, ir::Hook::local_in)), ElementsAre(0, 1, 2));
    EXPECT_THAT(xdp::leading_rules(table, ir::Hook::forward), IsEmpty());
}

// There may be a million of them, and they are looked at once a second.
TEST(Lead, IsNotCopied)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{}).rule({in("eth0")}, ir::Drop{});
    const ir::Table table = builder.build();
    EXPECT_EQ(std::span(xdp::leading_rules(table, ir::Hook::local_in)).data(), table.rules.data());
}

TEST(Lead, EndsAtWhatCannotBeDecided)
{
    const std::vector<ir::Verdict> undecidable = {ir::Return{},
                                                  ir::Queue{},
                                                  ir::Jump{0},
                                                  ir::Goto{0},
                                                  ir::SetField{ir::Field::mark, 0, 1},
                                                  ir::KernelTarget{0}};
    for (const ir::Verdict &verdict : undecidable) {
        TableBuilder builder;
        builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
            .rule({in("eth0")}, ir::Drop{})
            .rule({protocol(6)}, verdict)
            .rule({in("eth1")}, ir::Drop{});
        const ir::Table table = builder.build();
        EXPECT_THAT(ids(xdp::leading_rules(table, ir::Hook::local_in)), ElementsAre(0))
            << verdict.index();
    }
}

TEST(Lead, EndsAtWhatTheKernelIsAsked)
{
    for (const ir::Condition &condition :
         {ir::Condition(ir::Kernel{0}), ir::Condition(ir::Range{ir::Field::mark, 1, 0})}) {
        TableBuilder builder;
        builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
            .rule({in("eth0")}, ir::Drop{})
            .rule({in("eth1")}, ir::Drop{});
        ir::Table table = builder.build();
        table.rules[1].conditions.push_back(condition);
        EXPECT_THAT(ids(xdp::leading_rules(table, ir::Hook::local_in)), ElementsAre(0));
    }
}

TEST(Lead, EndsWithAnUnconditionalVerdict)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({}, ir::Drop{})
        .rule({in("eth1")}, ir::Drop{});
    const ir::Table table = builder.build();
    EXPECT_THAT(ids(xdp::leading_rules(table, ir::Hook::local_in)), ElementsAre(0));
}

TEST(Lead, DevicesAreExactNamesOfDropRules)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({in("eth1")}, ir::Drop{})
        .rule({in("eth0")}, ir::Drop{})
        .rule({in("eth1"), protocol(6)}, ir::Drop{})
        .rule({in("wlan+")}, ir::Drop{})
        .rule({in("eth2", true)}, ir::Drop{})
        .rule({in("eth3")}, ir::Accept{})
        .count({in("eth4")});
    const ir::Table table = builder.build();
    const auto lead = xdp::leading_rules(table, ir::Hook::local_in);
    EXPECT_THAT(xdp::lead_devices(lead), ElementsAre("eth0", "eth1"));
}

TEST(Lead, IsSpecialisedForADevice)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({in("eth1"), protocol(1)}, ir::Drop{})       // 0: another
        .rule({in("eth+"), protocol(2)}, ir::Drop{})       // 1
        .rule({in("eth1", true), protocol(3)}, ir::Drop{}) // 2
        .rule({in("eth0", true), protocol(4)}, ir::Drop{}) // 3: not this
        .rule({out("eth0"), protocol(5)}, ir::Drop{})      // 4: INPUT has no such device
        .rule({in("eth0"), protocol(6)}, ir::Drop{})       // 5
        .rule({protocol(7)}, ir::Accept{});                // 6: changes nothing
    const ir::Table table = builder.build();
    const auto lead = xdp::leading_rules(table, ir::Hook::local_in);
    const auto special = xdp::specialise(lead, "eth0");
    EXPECT_THAT(ids(special), ElementsAre(1, 2, 5));
    for (const ir::Rule &rule : special)
        EXPECT_EQ(rule.conditions.unpacked().size(), 1);
}

TEST(Lead, IsNoLongerThanAProgramCouldBe)
{
    ir::Table table;
    table.rules.resize(xdp::lead_rules_max + 2);
    for (ir::Rule &rule : table.rules)
        rule = {
            .conditions = {ir::Range{ir::Field::source, 1, 0}}, .verdict = ir::Drop{}, .text = {}};
    table.hooks[1] = ir::HookEntry{.entry = 0, .underflow = xdp::lead_rules_max + 1};
    EXPECT_EQ(xdp::leading_rules(table, ir::Hook::local_in).size(), xdp::lead_rules_max);
    while (table.rules[1].conditions.words() <= xdp::lead_words_max)
        table.rules[1].conditions.push_back(ir::Range{ir::Field::source_port, 1, 2});
    EXPECT_EQ(xdp::leading_rules(table, ir::Hook::local_in).size(), 1);
}

TEST(Lead, IsNothingWithoutADrop)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({in("eth0")}, ir::Accept{})
        .rule({in("eth0")}, ir::Drop{});
    const ir::Table table = builder.build();
    const auto lead = xdp::leading_rules(table, ir::Hook::local_in);
    EXPECT_THAT(xdp::specialise(lead, "eth0"), IsEmpty());
}

TEST(Lead, KeepsARuleThatMayDropBeforeItsDeviceIsAsked)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({test::Udp{}, in("eth1"), protocol(7), in("eth2")}, ir::Accept{})
        .rule({in("eth0")}, ir::Drop{});
    const ir::Table table = builder.build();
    const auto lead = xdp::leading_rules(table, ir::Hook::local_in);
    const auto special = xdp::specialise(lead, "eth0");
    ASSERT_THAT(ids(special), ElementsAre(0, 1));
    EXPECT_TRUE(std::holds_alternative<ir::Never>(special[0].conditions.unpacked().back()));
}

} // namespace
} // namespace bpfilter
