// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/lower.h"

#include <algorithm>
#include <utility>

namespace bpfilter::ir {

namespace {

constexpr std::uint32_t everything = 0xffffffff;

// What one question comes to.
enum class Answer : std::uint8_t { always, never, depends };

struct Question {
    Answer answer = Answer::always;
    Test test;
};

Question masked_question(Field field, std::uint32_t mask, std::uint32_t value)
{
    if ((value & ~mask) != 0)
        return {Answer::never, {}};
    if (mask == 0)
        return {Answer::always, {}};
    // The upper bits of the word: a range of it.
    const std::uint32_t rest = ~mask;
    if ((rest & (rest + 1)) == 0)
        return {Answer::depends, Range{field, value, rest}};
    return {Answer::depends, Masked{field, mask, value, 0}};
}

void add_constant(Conditions &to, bool holds)
{
    if (!holds)
        to.emplace_back(Never{});
}

void add(Conditions &to, const Test &test, bool invert)
{
    std::visit(
        [&to, invert](const auto &plain) {
            if (!invert)
                to.emplace_back(plain);
            else if (const auto other = inverse(plain))
                to.emplace_back(*other);
            else
                to.emplace_back(Never{});
        },
        test);
}

} // namespace

std::optional<Range> inverse(const Range &range)
{
    if (range.span == everything)
        return std::nullopt;
    return Range{range.field, range.low + range.span + 1, everything - range.span - 1};
}

std::optional<Masked> inverse(const Masked &masked)
{
    if (masked.span == everything)
        return std::nullopt;
    return Masked{masked.field, masked.mask, masked.low + masked.span + 1,
                  everything - masked.span - 1};
}

void ask_range(Conditions &to, Field field, std::uint32_t min, std::uint32_t max, bool invert)
{
    const std::uint32_t most = everything >> (32 - row(field).bits);
    max = std::min(max, most);
    if (min > max)
        add_constant(to, invert);
    else if (min == 0 && max == most)
        add_constant(to, !invert);
    else if (!invert)
        to.emplace_back(Range{field, min, max - min});
    else if (min == 0)
        to.emplace_back(Range{field, max + 1, most - max - 1});
    else if (max == most)
        to.emplace_back(Range{field, 0, min - 1});
    else
        add(to, Range{field, min, max - min}, true);
}

void ask_masked(Conditions &to, Field field, std::uint32_t mask, std::uint32_t value, bool invert)
{
    const Question question = masked_question(field, mask, value);
    if (question.answer == Answer::depends)
        add(to, question.test, invert);
    else
        add_constant(to, (question.answer == Answer::always) != invert);
}

void ask_words(Conditions &to, Field first, std::span<const std::uint32_t> value,
               std::span<const std::uint32_t> mask, bool invert)
{
    std::vector<Test> tests;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const Question question = masked_question(at(first, i), mask[i], value[i]);
        if (question.answer == Answer::never) {
            add_constant(to, invert);
            return;
        }
        if (question.answer == Answer::depends)
            tests.push_back(question.test);
    }
    if (tests.empty())
        add_constant(to, !invert);
    else if (tests.size() == 1 || !invert)
        for (const Test &test : tests)
            add(to, test, invert);
    else
        to.emplace_back(Not{std::move(tests)});
}

} // namespace bpfilter::ir
