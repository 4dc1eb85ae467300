// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/flow.h"

#include <algorithm>
#include <cstddef>
#include <set>

namespace bpfilter::codegen {

namespace {

class Walk {
public:
    Walk(const ir::Table &table, const ir::HookEntry &hook)
        : table_(table), hook_(hook), reached_(table.rules.size()), entry_(table.rules.size())
    {
    }

    Flow run()
    {
        enter(hook_.entry);
        while (!todo_.empty()) {
            const ir::RuleId id = todo_.back();
            todo_.pop_back();
            visit(table_.rules[id]);
        }
        for (ir::RuleId id = 0; id < reached_.size(); ++id) {
            if (reached_[id])
                flow_.rules.push_back(id);
            if (entry_[id])
                flow_.entries.push_back(id);
        }
        return std::move(flow_);
    }

private:
    void reach(ir::RuleId id)
    {
        if (id >= reached_.size() || reached_[id])
            return;
        reached_[id] = true;
        todo_.push_back(id);
    }

    void enter(ir::RuleId id)
    {
        reach(id);
        if (id < entry_.size())
            entry_[id] = true;
    }

    void visit(const ir::Rule &rule)
    {
        if (!rule.matches.empty() || falls_to_next(rule))
            reach(rule.id + 1);
        if (std::holds_alternative<ir::Return>(rule.verdict))
            enter(hook_.underflow);
        const auto *jump = std::get_if<ir::Jump>(&rule.verdict);
        if (jump == nullptr || falls_to_next(rule))
            return;
        flow_.jumps = true;
        enter(jump->target);
        if (jump->push)
            enter(rule.id + 1);
    }

    const ir::Table &table_;
    const ir::HookEntry &hook_;
    std::vector<bool> reached_;
    std::vector<bool> entry_;
    std::vector<ir::RuleId> todo_;
    Flow flow_;
};

} // namespace

Flow find_flow(const ir::Table &table, ir::Hook hook)
{
    return Walk(table, table.hooks.at(static_cast<std::size_t>(hook)).value()).run();
}

std::uint32_t stack_need(const ir::Table &table)
{
    std::set<ir::RuleId> targets;
    for (const ir::Rule &rule : table.rules) {
        const auto *jump = std::get_if<ir::Jump>(&rule.verdict);
        if (jump != nullptr && jump->push)
            targets.insert(jump->target);
    }
    return std::min(table.stack_depth, static_cast<std::uint32_t>(targets.size()));
}

} // namespace bpfilter::codegen
