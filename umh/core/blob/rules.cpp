// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/rules.h"

#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"

#include <fmt/format.h>

#include <cerrno>

namespace bpfilter::blob {

namespace {

using ir::RuleId;

extension::ExtensionUse use_of(const RuleContext &context, RuleId id,
                               const ExtensionView &extension)
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
    if (auto right = check_use("match", **match, context.layout.align((*match)->size),
                               use_of(context, id, view));
        !right)
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
    if (auto right = check_use("target", **target, context.layout.align((*target)->size),
                               use_of(context, id, view));
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

Result<ir::Rule> decode_rule(const RuleContext &context, RuleId id)
{
    const Entry &entry = context.entries.list[id];
    ir::Rule rule{.id = id, .matches = entry.ip_matches(), .verdict = ir::Drop{}, .text = {}};
    Result<> checked;
    entry.each_match([&](const ExtensionView &view, std::size_t) {
        auto match = decode_match(context, id, view);
        if (!match)
            checked = fail(std::move(match.error()));
        else if (!never(rule))
            rule.matches.push_back(*match);
        return checked.has_value();
    });
    if (!checked)
        return fail(std::move(checked.error()));
    auto verdict = decode_target(context, id);
    if (!verdict)
        return fail(std::move(verdict.error()));
    rule.verdict = *verdict;
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

} // namespace bpfilter::blob
