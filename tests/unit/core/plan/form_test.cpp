// SPDX-License-Identifier: GPL-2.0
#include "umh/core/plan/form.h"

#include "tests/unit/support/table.h"

#include <cstddef>
#include <gtest/gtest.h>

namespace bpfilter::plan {
namespace {

using namespace test;

constexpr auto hook = ir::Hook::forward;

void add(ChainBuilder &chain, std::size_t rules)
{
    for (std::size_t i = 0; i < rules; ++i)
        chain.count({});
}

TEST(FormOf, ShortHooksAreCode)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{});
    EXPECT_EQ(form_of(builder.build()), Form::code);
}

TEST(FormOf, TheLimitIsOfOneHookWithItsPolicy)
{
    for (const std::size_t more : {0, 1}) {
        TableBuilder builder;
        add(builder.chain("INPUT", ir::Hook::local_in, ir::Accept{}), code_rules - 1);
        add(builder.chain("FORWARD", hook, ir::Accept{}), code_rules - 1 + more);
        EXPECT_EQ(form_of(builder.build()), more ? Form::data : Form::code) << more;
    }
}

TEST(FormOf, RulesOfCalledChainsAreOnTheWay)
{
    for (const std::size_t more : {0, 1}) {
        TableBuilder builder;
        builder.chain("INPUT", ir::Hook::local_in, ir::Accept{});
        builder.chain("FORWARD", hook, ir::Accept{}).jump({}, "called"); // and the policy
        add(builder.chain("called"), code_rules - 3 + more);             // and its end
        EXPECT_EQ(form_of(builder.build()), more ? Form::data : Form::code) << more;
    }
}

TEST(FormOf, RulesThatNoPacketComesToDoNotCount)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{});
    add(builder.chain("unused"), 2 * code_rules);
    EXPECT_EQ(form_of(builder.build()), Form::code);
}

TEST(FormOf, WhatAsksForVeryMuchIsData)
{
    ir::Conditions conditions;
    while (conditions.words() <= code_words)
        conditions.push_back(ir::Range{ir::Field::source_port, 1, 2});
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{}).count({});
    ir::Table table = builder.build();
    EXPECT_EQ(form_of(table), Form::code);
    table.rules[table.hooks[static_cast<std::size_t>(hook)]->entry].conditions = conditions;
    EXPECT_EQ(form_of(table), Form::data);
}

TEST(FormOf, ButNoMoreOfThemThanAreLookedAtForATracedPacket)
{
    TableBuilder builder;
    builder.chain("FORWARD", hook, ir::Accept{});
    add(builder.chain("unused"), code_table_rules);
    EXPECT_EQ(form_of(builder.build()), Form::data);
}

} // namespace
} // namespace bpfilter::plan
