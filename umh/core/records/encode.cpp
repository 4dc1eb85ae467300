// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/encode.h"

#include "umh/core/records/record.h"
#include "umh/util/deadline.h"

#include <algorithm>
#include <stdexcept>
#include <variant>

namespace bpfilter::records {

namespace {

constexpr std::uint32_t record_size = sizeof(bpfilter_record);
constexpr std::uint32_t slot_size = 16;
constexpr std::size_t act_size = 16; // the most that a verdict has behind the record
static_assert(sizeof(bpfilter_jump) == act_size && sizeof(bpfilter_set) == act_size &&
              sizeof(bpfilter_target) == act_size);
constexpr std::size_t line_size = 64; // counters of two CPUs do not share one

bool requires_headers(const ir::Conditions &conditions)
{
    return std::ranges::any_of(conditions, [](const ir::Condition &condition) {
        return std::holds_alternative<ir::Require>(condition);
    });
}

bool is_written_twice(const HookWants &wants)
{
    return std::ranges::any_of(wants, [](const Wants &hook) { return hook.odd != 0; });
}

std::uint32_t place_of(std::uint32_t first, Position position)
{
    return first + static_cast<std::uint32_t>(position) * record_size;
}

// What a rule does, on either way. Records of the first begin at `first`.
class VerdictWriter {
public:
    VerdictWriter(Writer &writer, std::uint32_t first, Slot slot)
        : writer_(writer), first_(first), slot_(static_cast<std::uint32_t>(slot) * slot_size)
    {
    }

    Word operator()(const ir::Accept & /*verdict*/) { return slot_ | BPFILTER_OP_ACCEPT; }
    Word operator()(const ir::Drop & /*verdict*/) { return slot_ | BPFILTER_OP_DROP; }
    Word operator()(const ir::Queue & /*verdict*/) { return slot_ | BPFILTER_OP_QUEUE; }
    Word operator()(const ir::Return & /*verdict*/) { return slot_ | BPFILTER_OP_RETURN; }
    Word operator()(const ir::Continue & /*verdict*/) { return slot_ | BPFILTER_OP_CONTINUE; }
    Word operator()(const ir::Jump &jump) { return to(jump.target) | BPFILTER_OP_JUMP; }
    Word operator()(const ir::Goto &go) { return to(go.target) | BPFILTER_OP_GOTO; }

    Word operator()(const ir::SetField &set)
    {
        if (set.field != ir::Field::mark)
            throw std::logic_error("nothing but the mark can be set");
        return writer_.add(bpfilter_set{slot_, set.keep, set.flip, {}}) | BPFILTER_OP_SET_MARK;
    }

    Word operator()(const ir::KernelTarget &target)
    {
        return writer_.add(bpfilter_target{slot_, target.instance, {}}) | BPFILTER_OP_TARGET;
    }

private:
    Word to(ir::RuleId target)
    {
        return writer_.add(bpfilter_jump{slot_, place_of(first_, Position{target}), {}});
    }

    Writer &writer_;
    std::uint32_t first_;
    std::uint32_t slot_;
};

class Encoder {
public:
    Encoder(const ir::Table &table, const HookWants &wants, Writer &writer)
        : table_(table), wants_(wants), writer_(writer)
    {
    }

    Encoded run(const Counting &counting)
    {
        Encoded encoded;
        const std::uint32_t roots = writer_.take(ir::hook_count * sizeof(bpfilter_root));
        const std::uint32_t usual = take_records();
        const bool twice = is_written_twice(wants_);
        const std::uint32_t exact = twice ? take_records() : usual;
        write(usual, exact);
        for (std::size_t i = 0; i < ir::hook_count; ++i) {
            if (!table_.hooks[i])
                continue;
            encoded.roots[i] = roots + static_cast<std::uint32_t>(i * sizeof(bpfilter_root));
            writer_.write(encoded.roots[i], root(i, usual, exact, counting));
        }
        encoded.usual = usual;
        encoded.exact = exact;
        encoded.used = writer_.used();
        return encoded;
    }

private:
    // And one behind them, which is never asked unless the rules end without a verdict.
    std::uint32_t take_records() { return writer_.take((table_.rules.size() + 1) * record_size); }

    void write(std::uint32_t usual, std::uint32_t exact)
    {
        for (const ir::Rule &rule : table_.rules)
            write(usual, exact, rule);
        const Position end{static_cast<std::uint32_t>(table_.rules.size())};
        const bpfilter_record behind = make_record(writer_, {}, BPFILTER_OP_CUT_OFF);
        writer_.write(place_of(usual, end), behind);
        writer_.write(place_of(exact, end), behind);
    }

    void write(std::uint32_t usual, std::uint32_t exact, const ir::Rule &rule)
    {
        Deadline::look(rule.conditions.words() + 1);
        const Word word = std::visit(VerdictWriter(writer_, usual, Slot{rule.id}), rule.verdict);
        const Position position{rule.id};
        // One that asks for no header is the same on both.
        if (exact != usual && requires_headers(rule.conditions)) {
            const RecordOfWays records = make_records(writer_, rule.conditions, word);
            writer_.write(place_of(usual, position), records.usual);
            writer_.write(place_of(exact, position), records.exact);
            return;
        }
        const bpfilter_record record = make_record(writer_, rule.conditions, word);
        writer_.write(place_of(usual, position), record);
        if (exact != usual)
            writer_.write(place_of(exact, position), record);
    }

    bpfilter_root root(std::size_t hook, std::uint32_t usual, std::uint32_t exact,
                       const Counting &counting) const
    {
        const Position entry{table_.hooks[hook]->entry};
        const Position underflow{table_.hooks[hook]->underflow};
        return {.odd = wants_[hook].odd,
                .entry = place_of(usual, entry),
                .underflow = place_of(usual, underflow),
                .exact = exact - usual,
                .depth = table_.stack_depth,
                .counters = counting.place,
                .stride = counting.stride,
                .unused = {}};
    }

    const ir::Table &table_;
    const HookWants &wants_;
    Writer &writer_;
};

} // namespace

namespace {

// At most so many bytes. For one that is not near it is several times of what it will be.
std::size_t most(const ir::Table &table, bool twice)
{
    const std::size_t ways = twice ? 2 : 1;
    std::size_t size = (table.rules.size() + 1) * ways * record_size;
    for (const ir::Rule &rule : table.rules) {
        Deadline::look(rule.conditions.words() + 1);
        size += ways * size_behind(rule.conditions) + act_size;
    }
    return size + ir::hook_count * sizeof(bpfilter_root);
}

// From here on it pays to know.
constexpr std::size_t large = 64 << 10;

} // namespace

Size size_of(const ir::Table &table, const HookWants &wants)
{
    std::size_t rules = most(table, is_written_twice(wants));
    if (rules >= large) {
        Writer nowhere;
        rules = Encoder(table, wants, nowhere).run({}).used;
    }
    const std::size_t counters = table.rules.size() * slot_size;
    return {.rules = rules, .counters = (counters + line_size - 1) / line_size * line_size};
}

Encoded encode(const ir::Table &table, const HookWants &wants, std::span<std::byte> to,
               std::uint32_t place, const Counting &counting)
{
    Writer writer(to, place);
    return Encoder(table, wants, writer).run(counting);
}

} // namespace bpfilter::records
