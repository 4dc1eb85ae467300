// SPDX-License-Identifier: GPL-2.0
//
// Lists of conditions: what was put there is read again, in that order, whatever it is.
#include "umh/core/ir/conditions.h"

#include <gtest/gtest.h>

namespace bpfilter::ir {
namespace {

const std::vector<Condition> some{
    Range{Field::source, 0x0a000000, 0xffffff},
    Range{Field::destination_port, 80, 0},
    Range{Field::destination_port, 0xffffffff, 0xffff},
    Range{Field::destination_port, 1, 0x10000},
    Range{Field::destination_port, 81, 0xfffffffe},
    Range{Field::dst_option_15, 0x1234, 0xff},
    Masked{Field::flags, 0x17, 2, 0},
    Masked{Field::flags, 0xffffffff, 0xfffffffe, 0xffff},
    Masked{Field::in_3, 0xff00ff00, 1, 0x10000},
    Masked{Field::out_0, 1, 0xffffffff, 0xffffffff},
    Not{},
    Not{{Range{Field::protocol, 6, 0}, Masked{Field::flags, 1, 1, 0}}},
    AnyOf{},
    AnyOf{{{}}},
    AnyOf{{{Range{Field::protocol, 6, 0}}, {}, {Masked{Field::flags, 1, 1, 0x12345678}}}},
    Require{Field::tcp},
    Require{Field::transport},
    Listed{},
    Listed{List::route, {{1, 2, 3, 0xffffffff}, {0, 0, 0, 0}}},
    Never{},
};

Conditions packed(const std::vector<Condition> &list)
{
    Conditions conditions;
    for (const Condition &condition : list)
        conditions.push_back(condition);
    return conditions;
}

TEST(Conditions, EachIsReadAsItWasPut)
{
    for (std::size_t i = 0; i < some.size(); ++i) {
        const Conditions conditions{some[i]};
        EXPECT_FALSE(conditions.empty());
        EXPECT_EQ(conditions.unpacked(), std::vector{some[i]}) << i << ": " << text(conditions);
    }
}

TEST(Conditions, AllAreReadInOrder)
{
    EXPECT_EQ(packed(some).unpacked(), some);
    std::vector<Condition> reversed(some.rbegin(), some.rend());
    EXPECT_EQ(packed(reversed).unpacked(), reversed);
    EXPECT_NE(packed(reversed), packed(some));
}

TEST(Conditions, OfNoneNothingIsRead)
{
    EXPECT_TRUE(Conditions().empty());
    EXPECT_TRUE(Conditions().begin() == Conditions().end());
    Conditions conditions{Never{}};
    conditions.clear();
    EXPECT_EQ(conditions, Conditions());
}

TEST(Conditions, OthersComeBehind)
{
    const std::vector<Condition> first(some.begin(), some.begin() + 7);
    const std::vector<Condition> second(some.begin() + 7, some.end());
    Conditions conditions = packed(first);
    conditions.append(packed(second));
    EXPECT_EQ(conditions, packed(some));
    EXPECT_EQ(conditions.unpacked(), some);
}

TEST(Conditions, EachIsDifferentFromEachOther)
{
    for (const Condition &one : some)
        for (const Condition &other : some)
            EXPECT_EQ(Conditions{one} == Conditions{other}, one == other);
}

} // namespace
} // namespace bpfilter::ir
