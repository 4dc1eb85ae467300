// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/chains.h"

#include "umh/core/extension/text.h"
#include "umh/core/ir/names.h"
#include "umh/util/deadline.h"

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

// " -j ACCEPT"; nothing for a rule without a target.
class VerdictText {
public:
    VerdictText(const Chains &chains, bool go_to) : chains_(chains), go_to_(go_to) {}

    std::string operator()(const ir::Accept & /*verdict*/) const { return named("ACCEPT"); }
    std::string operator()(const ir::Drop & /*verdict*/) const { return named("DROP"); }
    std::string operator()(const ir::Queue & /*verdict*/) const { return named("QUEUE"); }
    std::string operator()(const ir::Return & /*verdict*/) const { return named("RETURN"); }
    std::string operator()(const ir::Continue & /*verdict*/) const { return {}; }
    // Of these the text is there already.
    std::string operator()(const ir::SetField & /*verdict*/) const { return {}; }
    std::string operator()(const ir::KernelTarget & /*verdict*/) const { return {}; }
    std::string operator()(const ir::Jump &jump) const
    {
        return named(chains_.target_name(jump.target));
    }
    std::string operator()(const ir::Goto &jump) const
    {
        return named(chains_.target_name(jump.target));
    }

private:
    [[nodiscard]] std::string named(const std::string &name) const
    {
        return (go_to_ ? " -g " : " -j ") + name;
    }

    const Chains &chains_;
    bool go_to_; // what the entry says, whatever the verdict
};

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
        Deadline::look();
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

std::string rule_text(const Entry &entry, const ir::Rule &rule, const Chains &chains, bool policy)
{
    const auto index = chains.of_rule[rule.id];
    const auto chain = index == Chains::none ? "?" : extension::printable(chains.list[index].name);
    if (entry.is_error())
        return index == Chains::none ? "# end of table" : "-N " + chain;
    if (policy)
        return "-P " + chain +
               (std::holds_alternative<ir::Accept>(rule.verdict) ? " ACCEPT" : " DROP");
    return "-A " + chain + entry.ip_text() + rule.text +
           std::visit(VerdictText(chains, entry.go_to()), rule.verdict);
}

} // namespace bpfilter::blob
