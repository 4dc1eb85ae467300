// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/reference.h"

#include "bpfilter/context.h"
#include "tests/unit/support/asker.h"

#include <memory>
#include <variant>

namespace bpfilter::test {

namespace {

std::unique_ptr<Asker> make_asker(ir::Family family, const PacketBytes &packet,
                                  const Devices &devices)
{
    return family == ir::Family::ipv6 ? make_asker6(packet, devices) : make_asker4(packet, devices);
}

} // namespace

Outcome judge(const BuiltTable &table, ir::Hook hook, const PacketBytes &packet,
              const Devices &devices)
{
    const ir::HookEntry &entry = table.hooks.at(static_cast<std::size_t>(hook)).value();
    const auto asker = make_asker(table.family, packet, devices);
    Outcome outcome;
    std::vector<ir::RuleId> stack;
    ir::RuleId id = entry.entry;
    for (;;) {
        const ir::Rule &rule = table.rules.at(id);
        Answer all = Answer::yes;
        for (const Match &match : table.matches.at(id)) {
            all = asker->ask(match);
            if (all != Answer::yes)
                break;
        }
        if (all == Answer::hotdrop) {
            outcome.verdict = BPFILTER_DROP;
            return outcome;
        }
        if (all == Answer::no) {
            ++id;
            continue;
        }
        outcome.counted.push_back(id);
        if (std::holds_alternative<ir::Accept>(rule.verdict)) {
            outcome.verdict = BPFILTER_ACCEPT;
            return outcome;
        }
        if (std::holds_alternative<ir::Drop>(rule.verdict)) {
            outcome.verdict = BPFILTER_DROP;
            return outcome;
        }
        if (std::holds_alternative<ir::Queue>(rule.verdict)) {
            outcome.verdict = BPFILTER_QUEUE;
            return outcome;
        }
        if (std::holds_alternative<ir::Return>(rule.verdict)) {
            if (stack.empty()) {
                id = entry.underflow;
            } else {
                id = stack.back();
                stack.pop_back();
            }
            continue;
        }
        if (std::holds_alternative<ir::Continue>(rule.verdict)) {
            ++id;
            continue;
        }
        if (const auto *go = std::get_if<ir::Goto>(&rule.verdict)) {
            id = go->target;
            continue;
        }
        if (stack.size() >= table.stack_depth) {
            outcome.verdict = BPFILTER_DROP;
            return outcome;
        }
        stack.push_back(id + 1);
        id = std::get<ir::Jump>(rule.verdict).target;
    }
}

std::uint32_t judge_and_count(const BuiltTable &table, ir::Hook hook, const PacketBytes &packet,
                              const Devices &devices, std::vector<ir::Counters> &counters)
{
    const Outcome outcome = judge(table, hook, packet, devices);
    for (const ir::RuleId id : outcome.counted) {
        counters.at(id).packets += 1;
        counters.at(id).bytes += packet.size();
    }
    return outcome.verdict;
}

} // namespace bpfilter::test
