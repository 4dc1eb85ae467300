// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/conditions.h"

#include <bpfilter/context.h>

#include <fmt/format.h>

#include <algorithm>

namespace bpfilter::ir {

static_assert(Kernel::transport == BPFILTER_CALL_TRANSPORT);

namespace {

struct PartsOf {
    Parts operator()(const Range &test) const { return row(test.field).part; }
    Parts operator()(const Masked &test) const { return row(test.field).part; }
    Parts operator()(const Not &group) const { return all(group.all); }
    Parts operator()(const AnyOf &any) const
    {
        Parts parts;
        for (const auto &group : any.groups)
            parts |= all(group);
        return parts;
    }
    Parts operator()(const Require &require) const { return row(require.state).part; }
    Parts operator()(const Listed &listed) const { return row(listed.list).part; }
    Parts operator()(const Kernel & /*kernel*/) const { return {}; }
    Parts operator()(const Never & /*never*/) const { return {}; }

private:
    [[nodiscard]] Parts all(const std::vector<Test> &tests) const
    {
        Parts parts;
        for (const Test &test : tests)
            parts |= std::visit(*this, test);
        return parts;
    }
};

// "5", "5..9"; of words that are no small numbers, in hexadecimal.
std::string range_text(const FieldRow &field, std::uint32_t low, std::uint32_t span)
{
    const auto number = [&field](std::uint32_t value) {
        return field.bits > 25 ? fmt::format("{:#x}", value) : fmt::format("{}", value);
    };
    return span == 0 ? "= " + number(low)
                     : fmt::format("in {}..{}", number(low), number(low + span));
}

struct Text {
    std::string operator()(const Range &test) const
    {
        const FieldRow &field = row(test.field);
        return fmt::format("{} {}", field.name, range_text(field, test.low, test.span));
    }

    std::string operator()(const Masked &test) const
    {
        const FieldRow &field = row(test.field);
        if (test.span == 0)
            return fmt::format("{} & {:#x} = {:#x}", field.name, test.mask, test.low);
        return fmt::format("{} & {:#x} in {:#x}..{:#x}", field.name, test.mask, test.low,
                           test.low + test.span);
    }

    std::string operator()(const Not &group) const { return "not (" + all(group.all) + ")"; }

    std::string operator()(const AnyOf &any) const
    {
        std::string list;
        for (const auto &group : any.groups)
            list += (list.empty() ? "" : " | ") + all(group);
        return "any (" + list + ")";
    }

    std::string operator()(const Require &require) const
    {
        return fmt::format("require {}", row(require.state).name);
    }

    std::string operator()(const Listed &listed) const
    {
        std::string list = fmt::format("{} has", row(listed.list).name);
        for (const Listed::Item &item : listed.items)
            list += fmt::format(" {:08x}:{:08x}:{:08x}:{:08x}", item[0], item[1], item[2], item[3]);
        return list;
    }

    std::string operator()(const Kernel &kernel) const
    {
        if (kernel.instance == Kernel::transport)
            return "kernel transport";
        return fmt::format("kernel {}", kernel.instance);
    }

    std::string operator()(const Never & /*never*/) const { return "never"; }

private:
    [[nodiscard]] std::string all(const std::vector<Test> &tests) const
    {
        std::string list;
        for (const Test &test : tests)
            list += (list.empty() ? "" : ", ") + std::visit(*this, test);
        return list;
    }
};

} // namespace

Parts parts_of(const Conditions &conditions)
{
    Parts parts;
    for (const Condition &condition : conditions)
        parts |= std::visit(PartsOf{}, condition);
    return complete(parts);
}

bool asks_kernel(const Conditions &conditions)
{
    return std::ranges::any_of(conditions, [](const Condition &condition) {
        return std::holds_alternative<Kernel>(condition);
    });
}

std::string text(const Conditions &conditions)
{
    std::string list;
    for (const Condition &condition : conditions)
        list += (list.empty() ? "" : ", ") + std::visit(Text{}, condition);
    return list.empty() ? "always" : list;
}

} // namespace bpfilter::ir
