// SPDX-License-Identifier: GPL-2.0
#include "umh/decode/rules.h"

#include "umh/decode/extension.h"
#include "umh/decode/text.h"

#include <fmt/format.h>

#include <cerrno>

namespace bpfilter::decode {

namespace {

using ir::RuleId;

ExtensionUse use_of(const RuleContext &context, RuleId id, const ExtensionView &extension)
{
    const Entry &entry = context.entries.list[id];
    return {
        .payload_size = extension.payload().size(),
        .table = context.table,
        .hooks = context.reach[id],
        .protocol = entry.protocol(),
        .protocol_inverted = entry.protocol_inverted(),
    };
}

Result<ir::Match> decode_match(const RuleContext &context, RuleId id, const ExtensionView &view)
{
    auto match = find_match(context.layout.family, view);
    if (!match)
        return fail(std::move(match.error()));
    if (auto right = check_use("match", **match, context.layout, use_of(context, id, view)); !right)
        return fail(std::move(right.error()));
    return (*match)->decode(view.payload());
}

Result<ir::Verdict> decode_target(const RuleContext &context, RuleId id)
{
    const Entry &entry = context.entries.list[id];
    const auto view = entry.target();
    auto target = find_target(context.layout.family, view);
    if (!target)
        return fail(std::move(target.error()));
    if (auto right = check_use("target", **target, context.layout, use_of(context, id, view));
        !right)
        return fail(std::move(right.error()));
    return (*target)->decode({
        .payload = view.payload(),
        .rule = id,
        .go_to = entry.go_to(),
        .offsets = context.entries.offsets,
    });
}

// A rule that never matches asks nothing more; its extensions are checked all the same.
bool never(const ir::Rule &rule)
{
    return !rule.matches.empty() && std::holds_alternative<ir::Never>(rule.matches.front());
}

std::size_t count_matches(const Entry &entry)
{
    std::size_t count = 0;
    entry.each_match([&count](const ExtensionView &, std::size_t) {
        ++count;
        return true;
    });
    return count;
}

Result<ir::Rule> decode_rule(const RuleContext &context, RuleId id)
{
    const Entry &entry = context.entries.list[id];
    ir::Rule rule{.id = id, .matches = entry.ip_matches(), .verdict = ir::Drop{}, .text = {}};
    Result<> checked;
    rule.matches.reserve(rule.matches.size() + count_matches(entry));
    entry.each_match([&](const ExtensionView &view, std::size_t) {
        auto match = decode_match(context, id, view);
        if (!match)
            checked = fail(std::move(match.error()));
        else if (!never(rule))
            rule.matches.push_back(std::move(*match));
        return checked.has_value();
    });
    if (!checked)
        return fail(std::move(checked.error()));
    auto verdict = decode_target(context, id);
    if (!verdict)
        return fail(std::move(verdict.error()));
    rule.verdict = *verdict;
    rule.matches.shrink_to_fit();
    return rule;
}

} // namespace

Result<std::vector<ir::Rule>> decode_rules(const RuleContext &context)
{
    std::vector<ir::Rule> rules;
    rules.reserve(context.entries.list.size());
    for (RuleId id = 0; id < context.entries.list.size(); ++id) {
        auto rule = decode_rule(context, id);
        if (!rule) {
            auto &error = rule.error();
            return fail(error.code, context.chains.rule_name(id) + ": " + error.message);
        }
        rules.push_back(std::move(*rule));
    }
    return rules;
}

} // namespace bpfilter::decode
