// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/text.h"

#include "umh/bpf/record.h"
#include "umh/core/ir/field.h"
#include "umh/core/records/expression.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <string_view>

namespace bpfilter::records {

namespace {

std::string field_name(std::uint32_t place)
{
    for (std::size_t i = 0; i < ir::field_count; ++i)
        if (place_of(static_cast<ir::Field>(i)) == place)
            return std::string(ir::row(static_cast<ir::Field>(i)).name);
    return fmt::format("?{}", place);
}

std::string range_text(std::uint32_t low, std::uint32_t span)
{
    return span == 0 ? fmt::format("= {:#x}", low) : fmt::format("in {:#x}+{:#x}", low, span);
}

class Printer {
public:
    // `usual`: where the records of that way are, which jumps lead to.
    Printer(std::span<const std::byte> bytes, std::uint32_t place, std::uint32_t usual)
        : bytes_(bytes), place_(place), usual_(usual)
    {
    }

    std::string way(std::uint32_t first, std::size_t rules) const
    {
        std::string text;
        for (std::size_t i = 0; i < rules; ++i)
            text +=
                fmt::format("{}: {}\n", i,
                            record(at<bpfilter_record>(
                                first + static_cast<std::uint32_t>(i * sizeof(bpfilter_record)))));
        return text;
    }

    template <typename T> T at(std::uint32_t place) const
    {
        T value{};
        if (place < place_ || place - place_ + sizeof(T) > bytes_.size())
            return value;
        std::memcpy(&value, bytes_.data() + (place - place_), sizeof(value));
        return value;
    }

private:
    std::string record(const bpfilter_record &record) const
    {
        std::string text;
        for (std::size_t i = 0; i < (record.more != 0 ? BPFILTER_RANGES : 1U); ++i)
            if (record.span[i] != ~0U)
                text +=
                    fmt::format("{}{} {}", text.empty() ? "" : ", ", field_name(record.place[i]),
                                range_text(record.low[i], record.span[i]));
        return text + (text.empty() ? "-> " : " -> ") + word(record.word);
    }

    std::string word(Word word) const
    {
        static constexpr std::array<std::string_view, 5> of_slot{"drop", "accept", "count", "queue",
                                                                 "return"};
        const std::uint32_t operation = word & BPFILTER_OP_BITS;
        const std::uint32_t argument = word & ~std::uint32_t{BPFILTER_OP_BITS};
        if (operation < of_slot.size())
            return fmt::format("{} {}", of_slot.at(operation), argument / 16);
        switch (operation) {
        case BPFILTER_OP_JUMP:
        case BPFILTER_OP_GOTO:
            return jump(operation == BPFILTER_OP_JUMP ? "jump" : "goto",
                        at<bpfilter_jump>(argument));
        case BPFILTER_OP_TEST:
            return test(at<bpfilter_test>(argument));
        case BPFILTER_OP_LISTED:
            return listed(at<bpfilter_listed>(argument));
        case BPFILTER_OP_CALL:
            return call(at<bpfilter_call>(argument));
        case BPFILTER_OP_TARGET:
            return target(at<bpfilter_target>(argument));
        case BPFILTER_OP_SET_MARK:
            return set_mark(at<bpfilter_set>(argument));
        case BPFILTER_OP_FAIL:
            return "fail";
        default:
            return "cut off";
        }
    }

    std::string jump(std::string_view kind, const bpfilter_jump &act) const
    {
        return fmt::format("{} {} count {}", kind, (act.target - usual_) / sizeof(bpfilter_record),
                           act.slot / 16);
    }

    std::string test(const bpfilter_test &act) const
    {
        const std::string mask = act.mask == ~0U ? "" : fmt::format(" & {:#x}", act.mask);
        return fmt::format("test {}{} {} ? {} : {}", field_name(act.place), mask,
                           range_text(act.low, act.span), branch(act.yes), branch(act.no));
    }

    std::string listed(const bpfilter_listed &act) const
    {
        return fmt::format("route has {} ? {} : {}", act.count, branch(act.yes), branch(act.no));
    }

    std::string call(const bpfilter_call &act) const
    {
        return fmt::format("call {} ? {} : {}", act.instance, branch(act.yes), branch(act.no));
    }

    static std::string target(const bpfilter_target &act)
    {
        return fmt::format("target {} count {}", act.instance, act.slot / 16);
    }

    static std::string set_mark(const bpfilter_set &act)
    {
        return fmt::format("mark & {:#x} ^ {:#x} count {}", act.keep, act.flip, act.slot / 16);
    }

    std::string branch(Word next) const
    {
        const std::string text = word(next);
        const bool asks = text.find('?') != std::string::npos;
        return asks ? '(' + text + ')' : text;
    }

    std::span<const std::byte> bytes_;
    std::uint32_t place_;
    std::uint32_t usual_;
};

} // namespace

std::string text(std::span<const std::byte> bytes, std::uint32_t place, const Encoded &encoded,
                 std::size_t rules)
{
    const Printer printer(bytes, place, encoded.usual);
    std::string text = "usual\n" + printer.way(encoded.usual, rules);
    if (encoded.exact != encoded.usual)
        text += "exact\n" + printer.way(encoded.exact, rules);
    return text;
}

} // namespace bpfilter::records
