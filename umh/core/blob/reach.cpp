// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/reach.h"

#include "umh/core/extension/standard.h"
#include "umh/core/ir/names.h"
#include "umh/util/deadline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace bpfilter::blob {

namespace {

using ir::RuleId;

std::optional<RuleId> rule_at(const Entries &entries, std::uint32_t offset)
{
    const auto found = std::ranges::lower_bound(entries.offsets, offset);
    if (found == entries.offsets.end() || *found != offset)
        return std::nullopt;
    return static_cast<RuleId>(found - entries.offsets.begin());
}

std::string_view name_of(std::size_t hook)
{
    return ir::chain_name(static_cast<ir::Hook>(hook));
}

// What the walk has to know of a rule; read once, as rules are met many times.
struct Step {
    enum class Kind { next, jump, end };
    Kind kind = Kind::next;
    std::uint32_t offset = 0; // of a jump
};

// The walk of one hook: depth first, without recursion. The way back is kept in `back_`: the
// rule that led to this one, itself for the first.
class Walk {
public:
    Walk(const Entries &entries, std::vector<std::uint32_t> &reach)
        : entries_(entries), reach_(reach), back_(entries.list.size()), path_(entries.list.size())
    {
    }

    Result<> from(std::size_t hook, RuleId entry)
    {
        RuleId at = entry;
        back_[at] = at;
        for (;;) {
            Deadline::look();
            if (path_[at])
                return fail(ELOOP, fmt::format("rule {} is part of a loop, reached from {}", at,
                                               name_of(hook)));
            const bool visited = reach_[at] & (1U << hook);
            reach_[at] |= 1U << hook;
            path_[at] = true;

            const Step step = read(at);
            if (step.kind == Step::Kind::end || visited) {
                const auto caller = return_from(at);
                if (!caller)
                    return {};
                at = *caller; // on behind it
                if (auto next = advance(at); !next)
                    return fail(std::move(next.error()));
                continue;
            }
            auto next = step.kind == Step::Kind::jump ? jump(at, step.offset) : advance(at);
            if (!next)
                return fail(std::move(next.error()));
        }
    }

private:
    Step read(RuleId id) const
    {
        const Entry &entry = entries_.list[id];
        if (!entry.is_standard())
            return {};
        const auto verdict = entry.verdict();
        if (extension::is_jump(verdict))
            return {Step::Kind::jump, static_cast<std::uint32_t>(verdict)};
        return {entry.unconditional() ? Step::Kind::end : Step::Kind::next, 0};
    }

    // Back along the chain to the rule that jumped into it; nothing if that is the hook.
    std::optional<RuleId> return_from(RuleId at)
    {
        for (;;) {
            path_[at] = false;
            const RuleId before = back_[at];
            if (before == at)
                return std::nullopt;
            const bool jumped = at != before + 1;
            at = before;
            if (jumped)
                return at;
        }
    }

    // To the next rule in the list.
    Result<> advance(RuleId &at)
    {
        if (at + 1 >= entries_.list.size())
            return fail(ELOOP, fmt::format("rule {} falls off the end of the table", at));
        back_[at + 1] = at;
        ++at;
        return {};
    }

    Result<> jump(RuleId &at, std::uint32_t offset)
    {
        const auto target = rule_at(entries_, offset);
        if (!target)
            return fail(
                ELOOP, fmt::format("rule {} jumps to offset {}, where no rule begins", at, offset));
        back_[*target] = at;
        at = *target;
        return {};
    }

    const Entries &entries_;
    std::vector<std::uint32_t> &reach_;
    std::vector<RuleId> back_;
    std::vector<bool> path_;
};

} // namespace

Result<HookTable> check_hooks(const Request &request, const Entries &entries)
{
    HookTable hooks{};
    const HookRules *last = nullptr;
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (!request.has(hook))
            continue;
        const auto entry = rule_at(entries, request.hook_entry[hook]);
        const auto underflow = rule_at(entries, request.underflow[hook]);
        if (!entry || !underflow)
            return fail(EINVAL,
                        fmt::format("no {} of {} at offset {}", entry ? "underflow" : "entry",
                                    name_of(hook),
                                    entry ? request.underflow[hook] : request.hook_entry[hook]));
        if (last && (underflow <= last->underflow || entry <= last->entry))
            return fail(EINVAL, fmt::format("{} is not behind the chain of the hook before it",
                                            name_of(hook)));
        hooks[hook] = {*entry, *underflow};
        last = &hooks[hook];
    }
    return hooks;
}

Result<std::vector<std::uint32_t>> mark_reach(const Request &request, const Entries &entries,
                                              const HookTable &hooks)
{
    std::vector<std::uint32_t> reach(entries.list.size());
    Walk walk(entries, reach);
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (!request.has(hook))
            continue;
        if (auto done = walk.from(hook, hooks[hook].entry); !done)
            return fail(std::move(done.error()));
    }
    return reach;
}

} // namespace bpfilter::blob
