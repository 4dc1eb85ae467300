// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/record.h"

#include "umh/core/records/wants.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <netinet/in.h>
#include <optional>
#include <ranges>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace bpfilter::records {

namespace {

using ir::Field;

constexpr std::uint32_t protocol_shift = 17; // of protocol_destination_port and its sister
constexpr std::uint32_t has_ports = 1U << 16;
constexpr std::uint32_t port_max = 0xffff;

bool is_near(Field field)
{
    return ir::row(field).place < ir::key_near;
}

// How many of its values a field may have, of all: less is asked first.
double share(const ir::Range &range)
{
    const double values = static_cast<double>(std::uint64_t{1} << ir::row(range.field).bits);
    return std::min(1.0, (static_cast<double>(range.span) + 1) / values);
}

// The conditions of one record: as ranges where they can be, the rest behind it.
struct Split {
    std::vector<ir::Range> ranges;
    std::vector<ir::Condition> behind;
};

// What a record compares itself.
std::optional<ir::Range> near_range(const ir::Condition &condition)
{
    if (const auto *range = std::get_if<ir::Range>(&condition); range && is_near(range->field))
        return *range;
    if (const auto *require = std::get_if<ir::Require>(&condition);
        require && is_near(require->state))
        return ir::Range{require->state, static_cast<std::uint32_t>(ir::State::present), 0};
    return std::nullopt;
}

// Was it asked for before? Behind that it is there.
bool is_known(std::vector<Field> &known, const ir::Require &require)
{
    if (std::ranges::find(known, require.state) != known.end())
        return true;
    known.push_back(require.state);
    return false;
}

// There may be thousands in a rule, which are not worth looking at all of them for each.
constexpr std::size_t looked_at = 64;

// Whether it is another one than before.
bool add_once(std::vector<ir::Range> &ranges, const ir::Range &range)
{
    const auto first = ranges | std::views::take(looked_at);
    if (std::ranges::find(first, range) != first.end())
        return false;
    ranges.push_back(range);
    return true;
}

// Where no header is cut off the order does not matter, but for what the kernel is asked.
Split split_usual(const ir::Conditions &conditions)
{
    Split split;
    std::vector<Field> known{Field::transport}; // which is there or cut off
    bool asked = false;
    std::optional<std::uint32_t> protocol;
    for (ir::Condition condition : conditions) {
        asked = asked || std::holds_alternative<ir::Kernel>(condition);
        if (!protocol)
            protocol = asked_protocol(condition);
        auto *require = std::get_if<ir::Require>(&condition);
        if (require != nullptr)
            require->state = usual_state(require->state, protocol);
        if (require != nullptr && is_known(known, *require))
            continue;
        const std::optional<ir::Range> range = near_range(condition);
        if (range && !asked)
            add_once(split.ranges, *range);
        else
            split.behind.push_back(condition);
    }
    return split;
}

// Those ahead of the first that must keep its place.
Split split_exact(const ir::Conditions &conditions)
{
    Split split;
    auto condition = conditions.begin();
    for (; condition != conditions.end() && split.ranges.size() < BPFILTER_RANGES; ++condition) {
        const auto *range = std::get_if<ir::Range>(&*condition);
        if (range == nullptr || !is_near(range->field))
            break;
        split.ranges.push_back(*range);
    }
    std::vector<Field> known;
    std::vector<ir::Range> asked = split.ranges;
    for (; condition != conditions.end(); ++condition) {
        const auto *require = std::get_if<ir::Require>(&*condition);
        const auto *range = std::get_if<ir::Range>(&*condition);
        if (std::holds_alternative<ir::Kernel>(*condition))
            asked.clear(); // of marks it may have another answer now
        if (require != nullptr && is_known(known, *require))
            continue;
        if (range == nullptr || !is_near(range->field) || add_once(asked, *range))
            split.behind.push_back(*condition);
    }
    return split;
}

auto find(std::vector<ir::Range> &ranges, Field field)
{
    return std::ranges::find(ranges, field, &ir::Range::field);
}

// Of ports that do not go around the end.
std::optional<ir::Range> take_ports(std::vector<ir::Range> &ranges, Field field)
{
    const auto found = find(ranges, field);
    if (found == ranges.end() || found->low > port_max || found->span > port_max - found->low)
        return {};
    const ir::Range range = *found;
    ranges.erase(found);
    return range;
}

ir::Range joined(Field field, std::uint32_t protocol, const ir::Range &ports)
{
    return {field, protocol << protocol_shift | has_ports | ports.low, ports.span};
}

// A protocol, that its header is there, and ports of it are one range, or two.
void join_ports(std::vector<ir::Range> &ranges)
{
    const auto protocol = find(ranges, Field::protocol);
    if (protocol == ranges.end() || protocol->span != 0 || protocol->low > IPPROTO_RAW)
        return;
    const std::uint32_t number = protocol->low;
    const auto state = find(ranges, number == IPPROTO_TCP ? Field::tcp : Field::ports);
    if (state == ranges.end() || state->low != 0 || state->span != 0)
        return;
    ranges.erase(state);
    ranges.erase(find(ranges, Field::protocol));
    const auto to = take_ports(ranges, Field::destination_port);
    const auto from = take_ports(ranges, Field::source_port);
    if (to || !from)
        ranges.push_back(joined(Field::protocol_destination_port, number,
                                to.value_or(ir::Range{.span = port_max})));
    if (from)
        ranges.push_back(joined(Field::protocol_source_port, number, *from));
}

void order(std::vector<ir::Range> &ranges)
{
    std::erase_if(ranges, [](const ir::Range &range) { return range.span == ~0U; });
    std::ranges::sort(ranges, {}, [](const ir::Range &range) {
        return std::pair(share(range), place_of(range.field));
    });
}

bpfilter_record with_ranges(const std::vector<ir::Range> &ranges)
{
    bpfilter_record record{};
    std::ranges::fill(record.span, ~0U);
    const std::size_t count = std::min<std::size_t>(ranges.size(), BPFILTER_RANGES);
    for (std::size_t i = 0; i < count; ++i) {
        record.low[i] = ranges[i].low;
        record.span[i] = ranges[i].span;
        record.place[i] = static_cast<std::uint8_t>(place_of(ranges[i].field));
    }
    record.more = count > 1 ? 1 : 0;
    return record;
}

} // namespace

namespace {

// What stands behind a record, from the end on: the words that lead to the last condition, to the
// last two, and so on, behind that of what the rule does.
using Words = std::vector<Word>;

Words write_behind(Writer &writer, std::span<const ir::Condition> behind, Way way, Word word)
{
    Words words{word};
    words.reserve(behind.size() + 1);
    for (const ir::Condition &condition : behind | std::views::reverse)
        words.push_back(write_condition(writer, condition, way, words.back()));
    return words;
}

// How many there are at the end of both, and mean the same there.
std::size_t common(std::span<const ir::Condition> usual, std::span<const ir::Condition> exact)
{
    std::size_t count = 0;
    for (; count < std::min(usual.size(), exact.size()); ++count) {
        const ir::Condition &condition = exact[exact.size() - 1 - count];
        if (std::holds_alternative<ir::Require>(condition) ||
            condition != usual[usual.size() - 1 - count])
            break;
    }
    return count;
}

// Of the usual way, behind its record: of ranges the first three are in it.
std::vector<ir::Condition> make_usual(Split &split)
{
    join_ports(split.ranges);
    order(split.ranges);
    std::vector<ir::Condition> behind;
    for (const ir::Range &range : split.ranges | std::views::drop(BPFILTER_RANGES))
        behind.emplace_back(range);
    std::ranges::reverse(behind);
    std::ranges::move(split.behind, std::back_inserter(behind));
    return behind;
}

bpfilter_record record_of(const std::vector<ir::Range> &ranges, Word word)
{
    bpfilter_record record = with_ranges(ranges);
    record.word = word;
    return record;
}

} // namespace

bpfilter_record make_record(Writer &writer, const ir::Conditions &conditions, Word word)
{
    Split split = split_usual(conditions);
    const std::vector<ir::Condition> behind = make_usual(split);
    return record_of(split.ranges, write_behind(writer, behind, Way::usual, word).back());
}

RecordOfWays make_records(Writer &writer, const ir::Conditions &conditions, Word word)
{
    Split usual = split_usual(conditions);
    Split exact = split_exact(conditions);
    const std::vector<ir::Condition> behind = make_usual(usual);
    order(exact.ranges);
    const Words words = write_behind(writer, behind, Way::usual, word);
    const std::size_t shared = common(behind, exact.behind);
    const auto rest = std::span(exact.behind).first(exact.behind.size() - shared);
    return {.usual = record_of(usual.ranges, words.back()),
            .exact = record_of(exact.ranges,
                               write_behind(writer, rest, Way::exact, words[shared]).back())};
}

std::size_t size_behind(const ir::Conditions &conditions)
{
    std::size_t size = 0;
    for (const ir::Condition &condition : conditions)
        size += size_of(condition);
    return size;
}

} // namespace bpfilter::records
