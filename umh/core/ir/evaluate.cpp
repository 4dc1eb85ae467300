// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/evaluate.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace bpfilter::ir {

namespace {

constexpr Answer answer(bool holds)
{
    return holds ? Answer::yes : Answer::no;
}

Instances &needed(Instances *instances)
{
    if (instances == nullptr)
        throw std::invalid_argument("a table with instances, and none to ask");
    return *instances;
}

class Asker {
public:
    Asker(const Key &key, Instances *instances) : key_(key), instances_(instances) {}

    Answer operator()(const Range &test) const { return answer(holds(test)); }
    Answer operator()(const Masked &test) const { return answer(holds(test)); }
    Answer operator()(const Not &group) const { return answer(!all(group.all)); }
    Answer operator()(const AnyOf &any) const
    {
        return answer(
            std::ranges::any_of(any.groups, [this](const auto &group) { return all(group); }));
    }

    Answer operator()(const Require &require) const
    {
        switch (key_.state(require.state)) {
        case State::present:
            return Answer::yes;
        case State::absent:
            return Answer::no;
        case State::cut_off:
            return Answer::hotdrop;
        }
        return Answer::hotdrop;
    }

    Answer operator()(const Listed &listed) const
    {
        std::size_t found = 0;
        const std::size_t count = key_[row(listed.list).count];
        for (std::size_t n = 0; n < count && found < listed.items.size(); ++n)
            found += key_.item(listed.list, n) == listed.items[found] ? 1 : 0;
        return answer(found == listed.items.size());
    }

    Answer operator()(const Kernel &kernel) const
    {
        return needed(instances_).match(kernel.instance);
    }

    Answer operator()(const Never & /*never*/) const { return Answer::no; }

private:
    [[nodiscard]] bool holds(const Range &test) const
    {
        return key_[test.field] - test.low <= test.span;
    }

    [[nodiscard]] bool holds(const Masked &test) const
    {
        return (key_[test.field] & test.mask) - test.low <= test.span;
    }

    [[nodiscard]] bool all(const std::vector<Test> &tests) const
    {
        return std::ranges::all_of(tests, [this](const Test &test) {
            return std::visit([this](const auto &plain) { return holds(plain); }, test);
        });
    }

    const Key &key_;
    Instances *instances_;
};

// A packet's way through a table.
class Walk {
public:
    Walk(const Table &table, const HookEntry &hook, const Key &key, Instances *instances)
        : table_(table), hook_(hook), key_(key), instances_(instances), at_(hook.entry)
    {
    }

    Outcome run() &&
    {
        while (!outcome_) {
            const Rule &rule = table_.rules.at(at_);
            switch (ask(rule.conditions, key_, instances_)) {
            case Answer::no:
                ++at_;
                break;
            case Answer::hotdrop:
                decide(Decision::drop);
                break;
            case Answer::yes:
                counted_.push_back({at_, key_[Field::length]});
                std::visit(*this, rule.verdict);
            }
        }
        return {*outcome_, std::move(counted_)};
    }

    void operator()(const Accept & /*verdict*/) { decide(Decision::accept); }
    void operator()(const Drop & /*verdict*/) { decide(Decision::drop); }
    void operator()(const Queue & /*verdict*/) { decide(Decision::queue); }
    void operator()(const Continue & /*verdict*/) { ++at_; }
    void operator()(const Goto &verdict) { at_ = verdict.target; }

    void operator()(const SetField &verdict)
    {
        key_[verdict.field] = (key_[verdict.field] & verdict.keep) ^ verdict.flip;
        ++at_;
    }

    void operator()(const KernelTarget &verdict)
    {
        outcome_ = needed(instances_).target(verdict.instance, key_);
        ++at_;
    }

    void operator()(const Return & /*verdict*/)
    {
        if (back_.empty()) {
            at_ = hook_.underflow;
            return;
        }
        at_ = back_.back();
        back_.pop_back();
    }

    void operator()(const Jump &verdict)
    {
        if (back_.size() >= table_.stack_depth) {
            decide(Decision::drop);
            return;
        }
        back_.push_back(at_ + 1);
        at_ = verdict.target;
    }

private:
    void decide(Decision decision) { outcome_ = decision; }

    const Table &table_;
    const HookEntry &hook_;
    Key key_;
    Instances *instances_;
    RuleId at_;
    std::vector<RuleId> back_;
    std::vector<Counted> counted_;
    std::optional<Decision> outcome_;
};

} // namespace

Answer ask(const Conditions &conditions, const Key &key, Instances *instances)
{
    for (const Condition &condition : conditions) {
        const Answer one = std::visit(Asker(key, instances), condition);
        if (one != Answer::yes)
            return one;
    }
    return Answer::yes;
}

Outcome evaluate(const Table &table, Hook hook, const Key &key, Instances *instances)
{
    return Walk(table, table.hooks.at(static_cast<std::size_t>(hook)).value(), key, instances)
        .run();
}

} // namespace bpfilter::ir
