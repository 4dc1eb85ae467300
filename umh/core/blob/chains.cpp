// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/chains.h"

#include "umh/core/extension/extension.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/names.h"

#include <fmt/format.h>

#include <optional>

namespace bpfilter::blob {

namespace {

using ir::RuleId;

std::optional<ir::Hook> hook_beginning_at(const Request &request, const HookTable &hooks, RuleId id)
{
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (request.has(hook) && hooks[hook].entry == id)
            return static_cast<ir::Hook>(hook);
    }
    return std::nullopt;
}

std::string error_name(const Entry &entry)
{
    return std::string(load_string(entry.target().payload().first(error_name_size)));
}

std::string verdict_text(const ir::Rule &rule, const Chains &chains, bool go_to)
{
    const char *option = go_to ? " -g " : " -j ";
    struct Visitor {
        const ir::Rule &rule;
        const Chains &chains;

        std::string operator()(const ir::Accept &) const { return "ACCEPT"; }
        std::string operator()(const ir::Drop &) const { return "DROP"; }
        std::string operator()(const ir::Queue &) const { return "QUEUE"; }
        std::string operator()(const ir::Return &) const { return "RETURN"; }
        std::string operator()(const ir::Jump &jump) const
        {
            // A rule without target is a jump to the next.
            return jump.target == rule.id + 1 ? "" : chains.target_name(jump.target);
        }
    };
    const auto name = std::visit(Visitor{rule, chains}, rule.verdict);
    return name.empty() ? "" : option + name;
}

std::string matches_text(const Entry &entry, ir::Family family)
{
    std::string text;
    entry.each_match([&](const ExtensionView &match, std::size_t) {
        text += " -m " + extension::printable(match.name());
        if (const auto known = find_match(family, match))
            text += (*known)->text(match.payload());
        return true;
    });
    return text;
}

} // namespace

std::string Chains::rule_name(RuleId id) const
{
    const auto index = of_rule.at(id);
    if (index == none)
        return fmt::format("?:{}", id);
    return fmt::format("{}:{}", extension::printable(list[index].name), id + 1 - list[index].first);
}

std::string Chains::target_name(RuleId id) const
{
    const auto index = of_rule.at(id);
    if (index != none && list[index].first == id)
        return extension::printable(list[index].name);
    return rule_name(id);
}

Chains find_chains(const Request &request, const Entries &entries, const HookTable &hooks)
{
    Chains chains;
    chains.of_rule.reserve(entries.list.size());
    auto current = Chains::none;
    for (RuleId id = 0; id < entries.list.size(); ++id) {
        const Entry &entry = entries.list[id];
        const bool error = entry.is_error();
        if (const auto hook = hook_beginning_at(request, hooks, id)) {
            current = static_cast<std::uint32_t>(chains.list.size());
            chains.list.push_back({std::string(ir::chain_name(*hook)), id, id, hook});
        } else if (error && id + 1 == entries.list.size()) {
            current = Chains::none; // the end of the table
        } else if (error) {
            current = static_cast<std::uint32_t>(chains.list.size());
            chains.list.push_back({error_name(entry), id + 1, id, std::nullopt});
        } else if (current != Chains::none) {
            chains.list[current].last = id;
        }
        chains.of_rule.push_back(current);
    }
    return chains;
}

std::string rule_text(const Entry &entry, const ir::Rule &rule, const Chains &chains,
                      ir::Family family, bool policy)
{
    const auto index = chains.of_rule[rule.id];
    const auto chain = index == Chains::none ? "?" : extension::printable(chains.list[index].name);
    if (entry.is_error())
        return index == Chains::none ? "# end of table" : "-N " + chain;
    if (policy)
        return "-P " + chain +
               (std::holds_alternative<ir::Accept>(rule.verdict) ? " ACCEPT" : " DROP");
    return "-A " + chain + entry.ip_text() + matches_text(entry, family) +
           verdict_text(rule, chains, entry.go_to());
}

} // namespace bpfilter::blob
