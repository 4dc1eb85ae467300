// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/expression.h"

#include <cstddef>
#include <ranges>
#include <variant>
#include <vector>

namespace bpfilter::records {

namespace {

constexpr Word fail_word = BPFILTER_OP_FAIL;
constexpr Word cut_off_word = BPFILTER_OP_CUT_OFF;

class ConditionWriter {
public:
    ConditionWriter(Writer &writer, Way way, Word yes) : writer_(writer), way_(way), yes_(yes) {}

    Word operator()(const ir::Range &range) { return test(range, yes_, fail_word); }
    Word operator()(const ir::Masked &masked) { return test(masked, yes_, fail_word); }
    Word operator()(const ir::Not &none) { return all(none.all, fail_word, yes_); }

    Word operator()(const ir::AnyOf &any)
    {
        Word word = fail_word;
        for (const auto &group : any.groups | std::views::reverse)
            word = all(group, yes_, word);
        return word;
    }

    Word operator()(const ir::Require &require)
    {
        const Word present = is(require.state, ir::State::present, yes_, fail_word);
        if (way_ == Way::usual)
            return present;
        return is(require.state, ir::State::cut_off, cut_off_word, present);
    }

    Word operator()(const ir::Listed &listed)
    {
        const std::uint32_t items = writer_.take(listed.items.size() * sizeof(ir::Listed::Item));
        for (std::size_t i = 0; i < listed.items.size(); ++i)
            writer_.write(items + static_cast<std::uint32_t>(i * sizeof(ir::Listed::Item)),
                          listed.items[i]);
        const bpfilter_listed act{static_cast<std::uint32_t>(listed.items.size()), items, yes_,
                                  fail_word};
        return writer_.add(act) | BPFILTER_OP_LISTED;
    }

    Word operator()(const ir::Kernel &kernel)
    {
        const bpfilter_call act{kernel.instance, yes_, fail_word, {}};
        return writer_.add(act) | BPFILTER_OP_CALL;
    }

    Word operator()(const ir::Never & /*never*/) { return fail_word; }

private:
    Word write(ir::Field field, std::uint32_t mask, std::uint32_t low, std::uint32_t span, Word yes,
               Word no)
    {
        const bpfilter_test act{.place = place_of(field),
                                .mask = mask,
                                .low = low,
                                .span = span,
                                .yes = yes,
                                .no = no,
                                .unused = {}};
        return writer_.add(act) | BPFILTER_OP_TEST;
    }

    Word test(const ir::Range &range, Word yes, Word no)
    {
        return write(range.field, ~0U, range.low, range.span, yes, no);
    }

    Word test(const ir::Masked &masked, Word yes, Word no)
    {
        return write(masked.field, masked.mask, masked.low, masked.span, yes, no);
    }

    Word is(ir::Field field, ir::State state, Word yes, Word no)
    {
        return write(field, ~0U, static_cast<std::uint32_t>(state), 0, yes, no);
    }

    Word all(const std::vector<ir::Test> &tests, Word yes, Word no)
    {
        Word word = yes;
        for (const ir::Test &one : tests | std::views::reverse)
            word = std::visit([&](const auto &kind) { return test(kind, word, no); }, one);
        return word;
    }

    Writer &writer_;
    Way way_;
    Word yes_;
};

struct Size {
    static constexpr std::size_t test = sizeof(bpfilter_test);

    std::size_t operator()(const ir::Range & /*range*/) const { return test; }
    std::size_t operator()(const ir::Masked & /*masked*/) const { return test; }
    std::size_t operator()(const ir::Not &none) const { return none.all.size() * test; }
    std::size_t operator()(const ir::AnyOf &any) const
    {
        std::size_t size = 0;
        for (const auto &group : any.groups)
            size += group.size() * test;
        return size;
    }
    std::size_t operator()(const ir::Require & /*require*/) const { return 2 * test; }
    std::size_t operator()(const ir::Listed &listed) const
    {
        return sizeof(bpfilter_listed) + listed.items.size() * sizeof(ir::Listed::Item);
    }
    std::size_t operator()(const ir::Kernel & /*kernel*/) const { return sizeof(bpfilter_call); }
    std::size_t operator()(const ir::Never & /*never*/) const { return 0; }
};

} // namespace

Word write_condition(Writer &writer, const ir::Condition &condition, Way way, Word yes)
{
    return std::visit(ConditionWriter(writer, way, yes), condition);
}

std::size_t size_of(const ir::Condition &condition)
{
    return std::visit(Size{}, condition);
}

std::uint32_t place_of(ir::Field field)
{
    return std::uint32_t{ir::row(field).place} * 4;
}

} // namespace bpfilter::records
