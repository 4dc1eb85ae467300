// SPDX-License-Identifier: GPL-2.0
//
// Conditions: what each kind answers, what it needs, how it prints; and the questions that they
// are made of.
#include "umh/core/ir/evaluate.h"
#include "umh/core/ir/lower.h"

#include <gtest/gtest.h>

namespace bpfilter::ir {

namespace {

Key with(Field field, std::uint32_t value)
{
    Key key;
    key[field] = value;
    return key;
}

bool holds(const Condition &condition, Field field, std::uint32_t value)
{
    return ask({condition}, with(field, value)) == Answer::yes;
}

constexpr Field port = Field::destination_port;

TEST(Condition, RangesGoAroundTheEnd)
{
    const Range range{port, 10, 5};
    for (const std::uint32_t inside : {10U, 15U})
        EXPECT_TRUE(holds(range, port, inside)) << inside;
    for (const std::uint32_t outside : {0U, 9U, 16U, 0xffffffffU})
        EXPECT_FALSE(holds(range, port, outside)) << outside;
    const Range around{Field::source, 0xffffffff, 1};
    EXPECT_TRUE(holds(around, Field::source, 0xffffffff));
    EXPECT_TRUE(holds(around, Field::source, 0));
    EXPECT_FALSE(holds(around, Field::source, 1));
}

TEST(Condition, TheInverseOfARangeIsTheOthers)
{
    for (const Range &range : {Range{port, 10, 5}, Range{port, 0, 0}, Range{port, 0xffffffff, 7},
                               Range{port, 5, 0xfffffffe}}) {
        const std::optional<Range> other = inverse(range);
        ASSERT_TRUE(other);
        for (const std::uint32_t value : {0U, 4U, 5U, 6U, 9U, 10U, 15U, 16U, 0xffffffffU})
            EXPECT_NE(holds(range, port, value), holds(*other, port, value))
                << text({range}) << ' ' << value;
        EXPECT_EQ(*inverse(*other), range);
    }
    EXPECT_FALSE(inverse(Range{port, 3, 0xffffffff}));
}

TEST(Condition, Groups)
{
    const Range low{port, 0, 9};
    const Range five{port, 5, 0};
    const Masked odd{port, 1, 1, 0};
    const Not neither{{low, odd}};
    EXPECT_FALSE(holds(neither, port, 5));
    EXPECT_TRUE(holds(neither, port, 4));
    EXPECT_TRUE(holds(neither, port, 11));
    EXPECT_FALSE(holds(Not{}, port, 0));
    const AnyOf any{{{low, odd}, {Range{port, 80, 0}}}};
    EXPECT_TRUE(holds(any, port, 5));
    EXPECT_TRUE(holds(any, port, 80));
    EXPECT_FALSE(holds(any, port, 4));
    EXPECT_FALSE(holds(any, port, 81));
    EXPECT_FALSE(holds(AnyOf{}, port, 0));
    EXPECT_TRUE((holds(AnyOf{{{}}}, port, 0)));
    EXPECT_EQ(text({any, Not{{five}}}),
              "any (destination_port in 0..9, destination_port & 0x1 = 0x1 | "
              "destination_port = 80), not (destination_port = 5)");
}

TEST(Condition, TheFirstThatDoesNotHoldDecides)
{
    const Require tcp{Field::tcp};
    Key cut_off;
    cut_off.set(Field::tcp, State::cut_off);
    EXPECT_EQ(ask({tcp}, cut_off), Answer::hotdrop);
    EXPECT_EQ(ask({tcp, Never{}}, cut_off), Answer::hotdrop);
    EXPECT_EQ(ask({Never{}, tcp}, cut_off), Answer::no);
    Key absent;
    absent.set(Field::tcp, State::absent);
    EXPECT_EQ(ask({tcp}, absent), Answer::no);
    EXPECT_EQ(ask({tcp}, Key{}), Answer::yes);
    EXPECT_EQ(ask({}, Key{}), Answer::yes);
}

TEST(Condition, ListedInOrder)
{
    const auto listed = [](const std::vector<std::uint32_t> &items) {
        Listed listed{.list = List::route, .items = {}};
        for (const std::uint32_t item : items)
            listed.items.push_back({0, 0, 0, item});
        return listed;
    };
    Key key;
    key[Field::routing_addresses] = 4;
    for (std::uint32_t n = 0; n < 4; ++n)
        key.set_item(List::route, n, {0, 0, 0, n + 1});
    const auto asked = [&](const std::vector<std::uint32_t> &items) {
        return ask({listed(items)}, key) == Answer::yes;
    };
    EXPECT_TRUE(asked({1, 2, 3, 4}));
    EXPECT_TRUE(asked({2, 4}));
    EXPECT_FALSE(asked({4, 2}));
    EXPECT_FALSE(asked({2, 2}));
    EXPECT_FALSE(asked({5}));
    key[Field::routing_addresses] = 3; // what is behind the last is not there
    EXPECT_FALSE(asked({2, 4}));
}

TEST(Condition, PartsAreThoseOfItsFields)
{
    EXPECT_EQ(text(parts_of(Conditions{})), "");
    EXPECT_EQ(text(parts_of({Range{Field::source, 1, 1}})), "ip");
    EXPECT_EQ(text(parts_of({Range{Field::protocol, 6, 0}})), "ip walk");
    EXPECT_EQ(text(parts_of({Require{Field::tcp}, Masked{Field::flags, 1, 1, 0}})),
              "ip walk transport");
    EXPECT_EQ(text(parts_of({Require{Field::tcp_options}})), "ip walk transport tcp_options");
    EXPECT_EQ(text(parts_of({Not{{Range{Field::in_0, 0, 0}}}})), "ip devices");
    EXPECT_EQ(text(parts_of({AnyOf{{{Range{Field::eui64, 0, 0}}}}})), "ip link");
    EXPECT_EQ(text(parts_of({Listed{}})), "ip walk routing route");
    EXPECT_TRUE(within(parts_of({Never{}}), {}));
}

TEST(Lower, RangesOfAField)
{
    const auto asked = [](Field field, std::uint32_t min, std::uint32_t max, bool invert) {
        Conditions conditions;
        ask_range(conditions, field, min, max, invert);
        return text(conditions);
    };
    EXPECT_EQ(asked(port, 0, 0xffff, false), "always");
    EXPECT_EQ(asked(port, 0, 0xffffffff, false), "always");
    EXPECT_EQ(asked(port, 0, 0xffff, true), "never");
    EXPECT_EQ(asked(port, 5, 4, false), "never");
    EXPECT_EQ(asked(port, 5, 4, true), "always");
    EXPECT_EQ(asked(port, 0x10000, 0x20000, false), "never");
    EXPECT_EQ(asked(port, 0x10000, 0x20000, true), "always");
    EXPECT_EQ(asked(port, 1, 80, false), "destination_port in 1..80");
    EXPECT_EQ(asked(port, 0, 80, true), "destination_port in 81..65535");
    EXPECT_EQ(asked(port, 80, 0xffff, true), "destination_port in 0..79");
    EXPECT_EQ(asked(port, 1, 80, true), "destination_port in 81..0");
    EXPECT_EQ(asked(Field::source, 0, 0xffffffff, false), "always");
}

TEST(Lower, MaskedWords)
{
    const auto asked = [](std::uint32_t mask, std::uint32_t value, bool invert) {
        Conditions conditions;
        ask_masked(conditions, Field::source, mask, value, invert);
        return text(conditions);
    };
    EXPECT_EQ(asked(0, 0, false), "always");
    EXPECT_EQ(asked(0, 0, true), "never");
    EXPECT_EQ(asked(0xff000000, 0x0a000001, false), "never");
    EXPECT_EQ(asked(0xff000000, 0x0a000001, true), "always");
    EXPECT_EQ(asked(0xffffffff, 7, false), "source = 0x7");
    EXPECT_EQ(asked(0xffffffff, 7, true), "source in 0x8..0x6");
    EXPECT_EQ(asked(0x00ff00ff, 7, false), "source & 0xff00ff = 0x7");
    EXPECT_EQ(asked(0x00ff00ff, 7, true), "source & 0xff00ff in 0x8..0x6");
}

TEST(Table, PrintsAsText)
{
    Table table;
    table.name = "filter";
    table.stack_depth = 2;
    table.hooks[1] = HookEntry{.entry = 0, .underflow = 1};
    table.rules = {{0, {Range{port, 80, 0}}, Jump{3}, {}},
                   {1, {}, Accept{}, {}},
                   {2, {}, Drop{}, {}},
                   {3, {}, Continue{}, {}},
                   {4, {Never{}}, Goto{1}, {}},
                   {5, {}, Return{}, {}},
                   {6, {}, Queue{}, {}}};
    EXPECT_EQ(text(table), "filter ipv4 depth 2\n"
                           "INPUT 0 policy 1\n"
                           "0: destination_port = 80 -> jump 3\n"
                           "1: always -> accept\n"
                           "2: always -> drop\n"
                           "3: always -> continue\n"
                           "4: never -> goto 1\n"
                           "5: always -> return\n"
                           "6: always -> queue\n");
    EXPECT_EQ(text(parts_of(table)), "ip walk transport");
}

} // namespace

} // namespace bpfilter::ir
