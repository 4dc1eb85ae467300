// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/lead.h"

#include "umh/codegen/flow.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <variant>

namespace bpfilter::xdp {

namespace {

bool is_drop(const ir::Rule &rule)
{
    return std::holds_alternative<ir::Drop>(rule.verdict);
}

bool is_final(const ir::Rule &rule)
{
    return is_drop(rule) || std::holds_alternative<ir::Accept>(rule.verdict);
}

// Every match of this IR asks for headers and devices only. One that asks for more (a
// connection, a set) must be refused here when it comes: the visitor does not know it.
struct HeaderOnly {
    bool operator()(const ir::SourceAddress &) const { return true; }
    bool operator()(const ir::DestinationAddress &) const { return true; }
    bool operator()(const ir::InInterface &) const { return true; }
    bool operator()(const ir::OutInterface &) const { return true; }
    bool operator()(const ir::Protocol &) const { return true; }
    bool operator()(const ir::Fragment &) const { return true; }
    bool operator()(const ir::Never &) const { return true; }
    bool operator()(const ir::Tcp &) const { return true; }
    bool operator()(const ir::Udp &) const { return true; }
    bool operator()(const ir::Icmp &) const { return true; }
    // Of the other family.
    bool operator()(const ir::Icmp6 &) const { return false; }
    bool operator()(const ir::Mobility &) const { return false; }
    bool operator()(const ir::HopLimit &) const { return false; }
    bool operator()(const ir::HeaderSet &) const { return false; }
    bool operator()(const ir::FragmentHeader &) const { return false; }
    bool operator()(const ir::Authentication &) const { return false; }
    bool operator()(const ir::Options &) const { return false; }
    bool operator()(const ir::Routing &) const { return false; }
    bool operator()(const ir::Eui64 &) const { return false; }
};

bool decidable(const ir::Rule &rule)
{
    const auto header_only = [](const ir::Match &match) { return std::visit(HeaderOnly{}, match); };
    return (is_final(rule) || codegen::falls_to_next(rule)) &&
           std::ranges::all_of(rule.matches, header_only);
}

// The one name this match stands for: its mask covers the name and its NUL, and no more.
std::optional<std::string> exact_name(const ir::InInterface &match)
{
    const auto end = std::ranges::find(match.name, '\0');
    if (match.invert || end == match.name.begin() || end == match.name.end())
        return std::nullopt;
    const auto covered = end - match.name.begin() + 1;
    for (std::ptrdiff_t i = 0; i < covered; ++i)
        if (match.mask[static_cast<std::size_t>(i)] != '\xff')
            return std::nullopt;
    return std::string(match.name.begin(), end);
}

// What a match about devices answers for this name; nothing if it is about something else.
template <typename T> bool device_matches(const T &match, std::string_view device)
{
    bool equal = true;
    for (std::size_t i = 0; i < match.name.size(); ++i) {
        const char c = i < device.size() ? device[i] : '\0';
        equal = equal && ((c ^ match.name[i]) & match.mask[i]) == 0;
    }
    return equal != match.invert;
}

std::optional<bool> known(const ir::Match &match, std::string_view device)
{
    if (const auto *in = std::get_if<ir::InInterface>(&match))
        return device_matches(*in, device);
    if (const auto *out = std::get_if<ir::OutInterface>(&match))
        return device_matches(*out, ""); // INPUT has none
    if (std::holds_alternative<ir::Never>(match))
        return false;
    return std::nullopt;
}

bool may_hotdrop(const ir::Match &match)
{
    return std::holds_alternative<ir::Tcp>(match) || std::holds_alternative<ir::Udp>(match) ||
           std::holds_alternative<ir::Icmp>(match);
}

// The rule without the matches that are known to be true; nothing if one is false. But one
// that is asked before it may have dropped the packet on the spot: then the rule stays.
std::optional<ir::Rule> specialise_rule(const ir::Rule &rule, std::string_view device)
{
    ir::Rule result = rule;
    result.matches.clear();
    for (const ir::Match &match : rule.matches) {
        const std::optional<bool> answer = known(match, device);
        if (!answer)
            result.matches.push_back(match);
        else if (!*answer && std::ranges::none_of(result.matches, may_hotdrop))
            return std::nullopt;
        else if (!*answer)
            result.matches.emplace_back(ir::Never{});
    }
    return result;
}

} // namespace

std::vector<ir::Rule> find_lead(const ir::Table &table, ir::Hook hook)
{
    std::vector<ir::Rule> lead;
    const auto &entry = table.hooks.at(static_cast<std::size_t>(hook));
    if (!entry)
        return lead;
    for (ir::RuleId id = entry->entry; id < table.rules.size(); ++id) {
        const ir::Rule &rule = table.rules[id];
        if (!decidable(rule))
            break;
        lead.push_back(rule);
        if (rule.matches.empty() && is_final(rule))
            break;
    }
    return lead;
}

std::vector<std::string> lead_devices(const std::vector<ir::Rule> &lead)
{
    std::set<std::string> names;
    for (const ir::Rule &rule : lead) {
        if (!is_drop(rule))
            continue;
        for (const ir::Match &match : rule.matches)
            if (const auto *in = std::get_if<ir::InInterface>(&match))
                if (const std::optional<std::string> name = exact_name(*in))
                    names.insert(*name);
    }
    return {names.begin(), names.end()};
}

std::vector<ir::Rule> specialise(const std::vector<ir::Rule> &lead, std::string_view device)
{
    std::vector<ir::Rule> result;
    for (const ir::Rule &rule : lead) {
        std::optional<ir::Rule> special = specialise_rule(rule, device);
        if (!special)
            continue;
        result.push_back(std::move(*special));
        if (result.back().matches.empty() && is_final(result.back()))
            break;
    }
    while (!result.empty() && !is_drop(result.back()))
        result.pop_back();
    return result;
}

} // namespace bpfilter::xdp
