// SPDX-License-Identifier: GPL-2.0
//
// Random tables of conditions, in any order that conditions can have, whatever rule would say such
// a thing; with numbers that packets have, so that they hold often enough.
#pragma once

#include "tests/unit/support/random.h"
#include "umh/core/ir/key.h"
#include "umh/core/ir/table.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bpfilter::test {

class ConditionGenerator {
public:
    ConditionGenerator(std::uint64_t seed, ir::Family family)
        : dice_(seed * 7919 + 1), family_(family)
    {
        for (std::size_t i = 0; i < ir::field_count; ++i)
            if (is_asked(static_cast<ir::Field>(i)))
                fields_.push_back(static_cast<ir::Field>(i));
        // Some tables ask for little, so that not all parts are there.
        if (dice_.one_in(3))
            std::erase_if(fields_, [this](ir::Field) { return !dice_.one_in(4); });
        if (fields_.empty())
            fields_.push_back(ir::Field::protocol);
    }

    void learn(const ir::Key &key) { keys_.push_back(key); }
    // Tables that ask the kernel's own matches, with even numbers, call its targets, with odd ones,
    // and set marks.
    void use_instances() { instances_ = true; }

    // Chains as ip_tables has them: hooks 1 to 3, then user chains, each with its foot.
    ir::Table table()
    {
        ir::Table table;
        table.name = "filter";
        table.family = family_;
        const unsigned chains = dice_.one_in(3) ? 0 : dice_.below(8);
        std::vector<ir::RuleId> starts;
        std::vector<std::pair<ir::RuleId, unsigned>> calls; // rule, chain
        for (unsigned chain = 0; chain < 3 + chains; ++chain) {
            const auto start = static_cast<ir::RuleId>(table.rules.size());
            starts.push_back(start);
            // A long one calls none, or a packet would be on its way for ever.
            const bool is_long = dice_.one_in(12);
            const unsigned rules = is_long ? 20 + dice_.below(120) : dice_.below(12);
            const unsigned self = is_long ? chains : chain < 3 ? 0 : chain - 2;
            for (unsigned i = 0; i < rules; ++i)
                add(table, rule(), self, chains, calls);
            if (chain < 3) {
                const auto policy = static_cast<ir::RuleId>(table.rules.size());
                push(table, {},
                     dice_.one_in(2) ? ir::Verdict(ir::Accept{}) : ir::Verdict(ir::Drop{}));
                table.hooks[chain + 1] = ir::HookEntry{.entry = start, .underflow = policy};
            } else {
                push(table, {}, ir::Return{});
            }
        }
        push(table, {}, ir::Drop{}); // as the ERROR node at the end
        for (const auto &[rule, chain] : calls) {
            ir::Verdict &verdict = table.rules[rule].verdict;
            if (auto *jump = std::get_if<ir::Jump>(&verdict))
                jump->target = starts[2 + chain];
            else
                std::get<ir::Goto>(verdict).target = starts[2 + chain];
        }
        table.stack_depth = dice_.one_in(4) ? dice_.below(4) : chains;
        return table;
    }

private:
    // What the other family has is not asked.
    [[nodiscard]] bool is_asked(ir::Field field) const
    {
        using ir::Part;
        if (family_ == ir::Family::ipv6)
            return field != ir::Field::fragment;
        const Part part = row(field).part;
        const bool first = field != ir::Field::mobility && field != ir::Field::mobility_type;
        return first &&
               (part == Part::ip || part == Part::devices || part == Part::mark ||
                part == Part::connection || part == Part::skb || part == Part::walk ||
                part == Part::transport || part == Part::beginnings || part == Part::tcp_options);
    }

    static bool is_state(ir::Field field)
    {
        using enum ir::Field;
        const auto states = {transport, tcp, ports, pair,    sctp, mobility, tcp_options,
                             eui64,     hop, dst,   routing, frag, ah};
        return std::ranges::find(states, field) != states.end();
    }

    static void push(ir::Table &table, ir::Conditions conditions, ir::Verdict verdict)
    {
        const auto id = static_cast<ir::RuleId>(table.rules.size());
        table.rules.push_back({id, std::move(conditions), verdict, {}});
    }

    // Of chain `self`, which calls only those with higher numbers.
    void add(ir::Table &table, ir::Conditions conditions, unsigned self, unsigned chains,
             std::vector<std::pair<ir::RuleId, unsigned>> &calls)
    {
        const unsigned kind = dice_.below(12);
        ir::Verdict verdict = ir::Continue{};
        if (kind < 4 && self < chains) {
            verdict = dice_.one_in(3) ? ir::Verdict(ir::Goto{}) : ir::Verdict(ir::Jump{});
            calls.emplace_back(table.rules.size(), self + 1 + dice_.below(chains - self));
        } else if (kind == 8) {
            verdict = ir::Return{};
        } else if (kind == 9 && !conditions.empty()) {
            verdict = ir::Accept{};
        } else if (kind == 10 && !conditions.empty()) {
            verdict = dice_.one_in(4) ? ir::Verdict(ir::Queue{}) : ir::Verdict(ir::Drop{});
        }
        if (instances_ && dice_.one_in(3) && std::holds_alternative<ir::Continue>(verdict))
            verdict = effect();
        push(table, std::move(conditions), verdict);
    }

    ir::Verdict effect()
    {
        if (dice_.one_in(3))
            return ir::SetField{ir::Field::mark, number() & number(), dice_.below(4)};
        return ir::KernelTarget{dice_.below(500) * 2 + 1};
    }

    ir::Conditions rule()
    {
        ir::Conditions conditions;
        if (dice_.one_in(3)) // as most rules are
            add_ports(conditions);
        for (unsigned n = dice_.one_in(2) ? dice_.below(3) : dice_.below(7); n > 0; --n)
            conditions.push_back(condition());
        return instances_ && dice_.one_in(2) ? with_instances(conditions) : conditions;
    }

    // One or two of them, anywhere.
    ir::Conditions with_instances(const ir::Conditions &conditions)
    {
        std::vector<ir::Condition> list = conditions.unpacked();
        for (unsigned n = 1 + dice_.below(2); n > 0; --n)
            list.insert(list.begin() + dice_.below(static_cast<unsigned>(list.size()) + 1),
                        ir::Kernel{dice_.below(500) * 2});
        ir::Conditions result;
        for (const ir::Condition &condition : list)
            result.push_back(condition);
        return result;
    }

    void add_ports(ir::Conditions &conditions)
    {
        using ir::Field;
        const bool is_tcp = dice_.one_in(2);
        if (family_ == ir::Family::ipv6)
            conditions.emplace_back(ir::Require{Field::transport});
        conditions.emplace_back(ir::Range{Field::protocol, is_tcp ? 6U : 17U, 0});
        if (const bool both = dice_.one_in(4); both || dice_.one_in(3)) {
            conditions.emplace_back(ir::Require{dice_.one_in(4) ? Field::sctp : Field::pair});
            if (!both)
                return;
        }
        conditions.emplace_back(ir::Require{is_tcp ? Field::tcp : Field::ports});
        if (dice_.one_in(2))
            conditions.emplace_back(range(Field::destination_port));
        if (dice_.one_in(3))
            conditions.emplace_back(range(Field::source_port));
    }

    ir::Condition condition()
    {
        switch (dice_.below(12)) {
        case 0:
            return ir::Not{group(3)};
        case 1:
        case 2: {
            ir::AnyOf any;
            for (unsigned n = dice_.below(4); n > 0; --n)
                any.groups.push_back(group(2));
            return any;
        }
        case 3:
        case 4:
            return require();
        case 5:
        case 6:
            if (family_ == ir::Family::ipv6)
                return listed();
            return test_as_condition();
        case 7:
            if (dice_.one_in(6))
                return ir::Never{};
            return test_as_condition();
        default:
            return test_as_condition();
        }
    }

    ir::Condition test_as_condition()
    {
        return std::visit([](const auto &plain) { return ir::Condition(plain); }, test());
    }

    ir::Condition require()
    {
        const auto states = std::ranges::count_if(fields_, is_state);
        if (states == 0)
            return test_as_condition();
        for (;;)
            if (const ir::Field field = dice_.of(fields_); is_state(field))
                return ir::Require{field};
    }

    ir::Condition listed()
    {
        ir::Listed listed{ir::List::route, {}};
        // Of a packet that has some, if one is found.
        const ir::Key *some = &dice_.of(keys_);
        for (int n = 0; n < 100 && (*some)[ir::Field::routing_addresses] < 2; ++n)
            some = &dice_.of(keys_);
        const ir::Key &key = *some;
        const std::uint32_t count = key[ir::Field::routing_addresses];
        for (std::uint32_t n = 0; n < count && listed.items.size() < 16; ++n)
            if (!dice_.one_in(4))
                listed.items.push_back(key.item(ir::List::route, n));
        if (dice_.one_in(5))
            listed.items.push_back({1, 2, 3, 4});
        return listed;
    }

    std::vector<ir::Test> group(unsigned most)
    {
        std::vector<ir::Test> tests;
        for (unsigned n = dice_.below(most + 1); n > 0; --n)
            tests.push_back(test());
        return tests;
    }

    ir::Test test()
    {
        const ir::Field field = dice_.of(fields_);
        if (!dice_.one_in(4))
            return range(field);
        const std::uint32_t mask = number() & number();
        const std::uint32_t value = value_of(field) & mask;
        return ir::Masked{field, mask, value - dice_.below(2), dice_.below(4) * dice_.below(256)};
    }

    // Around a number that the field has, or around the end.
    ir::Range range(ir::Field field)
    {
        const std::uint32_t value = value_of(field);
        switch (dice_.below(5)) {
        case 0: // not this one
            return {field, value + 1, ~0U - 1};
        case 1:
            return {field, value, 0};
        case 2:
            return {field, value & (~0U << dice_.below(32)), (1U << dice_.below(32)) - 1};
        case 3:
            return {field, value - dice_.below(4), dice_.below(8)};
        default:
            return {field, number(), number()};
        }
    }

    std::uint32_t value_of(ir::Field field) { return dice_.of(keys_)[field]; }
    std::uint32_t number() { return dice_.below(0xffffffff); }

    Dice dice_;
    ir::Family family_;
    std::vector<ir::Field> fields_;
    std::vector<ir::Key> keys_;
    bool instances_ = false;
};

} // namespace bpfilter::test
