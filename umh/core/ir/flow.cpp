// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/flow.h"

#include "umh/util/deadline.h"

#include <algorithm>
#include <cstddef>
#include <optional>

namespace bpfilter::ir {

namespace {

// Where a packet may go from a rule, beside what Return and the like do.
struct Ways {
    bool next = false;            // to the next rule, because this one does not match
    std::optional<RuleId> target; // elsewhere
    bool back = false;            // and from there behind this rule
};

Ways ways_of(const Rule &rule)
{
    Ways ways{.next = !rule.conditions.empty() || goes_on(rule.verdict), .target = {}};
    if (const auto *jump = std::get_if<Jump>(&rule.verdict)) {
        ways.target = jump->target;
        ways.back = true;
    } else if (const auto *go = std::get_if<Goto>(&rule.verdict)) {
        ways.target = go->target;
    }
    return ways;
}

class Walk {
public:
    Walk(const Table &table, const HookEntry &hook)
        : table_(table), hook_(hook), reached_(table.rules.size()), entry_(table.rules.size())
    {
    }

    Flow run()
    {
        enter(hook_.entry);
        while (!todo_.empty()) {
            const RuleId id = todo_.back();
            todo_.pop_back();
            visit(table_.rules[id]);
            Deadline::look();
        }
        for (RuleId id = 0; id < reached_.size(); ++id) {
            if (reached_[id])
                flow_.rules.push_back(id);
            if (entry_[id])
                flow_.entries.push_back(id);
        }
        return std::move(flow_);
    }

private:
    void reach(RuleId id)
    {
        if (id >= reached_.size() || reached_[id])
            return;
        reached_[id] = true;
        todo_.push_back(id);
    }

    void enter(RuleId id)
    {
        reach(id);
        if (id < entry_.size())
            entry_[id] = true;
    }

    void visit(const Rule &rule)
    {
        const Ways ways = ways_of(rule);
        if (ways.next)
            reach(rule.id + 1);
        if (std::holds_alternative<Return>(rule.verdict))
            enter(hook_.underflow);
        if (!ways.target)
            return;
        flow_.jumps = true;
        enter(*ways.target);
        if (ways.back)
            enter(rule.id + 1);
    }

    const Table &table_;
    const HookEntry &hook_;
    std::vector<bool> reached_;
    std::vector<bool> entry_;
    std::vector<RuleId> todo_;
    Flow flow_;
};

// How many returns are pending at most on the way from a rule to the end of its chain. Chains that
// a packet comes to are free of loops (decode sees to it), so this is the longest way in an acyclic
// graph. Depth first, without recursion: chains may be nested by the ten thousand.
class Nesting {
public:
    explicit Nesting(const Table &table) : table_(table), need_(table.rules.size(), unknown) {}

    std::uint32_t deepest()
    {
        std::uint32_t need = 0;
        for (const auto &hook : table_.hooks)
            if (hook)
                need = std::max(need, of(hook->entry));
        return std::min(table_.stack_depth, need);
    }

private:
    static constexpr std::uint32_t unknown = 0xffffffff;
    static constexpr std::uint32_t pending = 0xfffffffe;

    // Behind the last rule there is nothing; a loop has no end.
    std::uint32_t known(RuleId id) const
    {
        if (id >= need_.size())
            return 0;
        return need_[id] == pending ? table_.stack_depth : need_[id];
    }

    std::uint32_t of(RuleId start)
    {
        std::vector<RuleId> todo{start};
        while (!todo.empty()) {
            Deadline::look();
            const Rule &rule = table_.rules[todo.back()];
            const bool first = need_[rule.id] == unknown;
            if (first)
                need_[rule.id] = pending;
            const std::uint32_t need = follow(rule, todo);
            if (first && todo.back() != rule.id)
                continue;
            if (need_[rule.id] == pending)
                need_[rule.id] = need;
            todo.pop_back();
        }
        return known(start);
    }

    // What the ways from here on need; those not looked at yet are put on the list first.
    std::uint32_t follow(const Rule &rule, std::vector<RuleId> &todo) const
    {
        std::uint32_t need = 0;
        const auto go = [&](RuleId id, std::uint32_t pushed) {
            const std::uint32_t behind = known(id);
            if (behind == unknown)
                todo.push_back(id);
            else
                need = std::max(need, std::min(behind + pushed, table_.stack_depth));
        };
        const Ways ways = ways_of(rule);
        if (ways.target)
            go(*ways.target, ways.back ? 1 : 0);
        if (ways.next || ways.back)
            go(rule.id + 1, 0);
        return need;
    }

    const Table &table_;
    std::vector<std::uint32_t> need_;
};

} // namespace

Flow find_flow(const Table &table, Hook hook)
{
    return Walk(table, table.hooks.at(static_cast<std::size_t>(hook)).value()).run();
}

std::uint32_t stack_need(const Table &table)
{
    return Nesting(table).deepest();
}

} // namespace bpfilter::ir
