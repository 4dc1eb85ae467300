// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/lead.h"

#include <algorithm>
#include <cstdint>
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

// What a device's program can find out of a packet (program.h).
constexpr ir::Parts here = ir::Parts(ir::Part::ip) | ir::Part::devices | ir::Part::walk |
                           ir::Part::transport | ir::Part::beginnings | ir::Part::tcp_options;

bool decidable(const ir::Rule &rule)
{
    return (is_final(rule) || std::holds_alternative<ir::Continue>(rule.verdict)) &&
           within(parts_of(rule.conditions), here) && !asks_kernel(rule.conditions);
}

constexpr std::size_t name_size = 16;
constexpr std::size_t name_words = name_size / 4;

// The word of a device's name, as the key has it.
std::uint32_t name_word(std::string_view name, std::size_t word)
{
    std::uint32_t value = 0;
    for (std::size_t i = 4 * word; i < 4 * word + 4; ++i)
        value = value << 8 | static_cast<unsigned char>(i < name.size() ? name[i] : '\0');
    return value;
}

// The byte that these conditions ask for at this place of the name of the device a packet
// comes in by, if they ask for one.
std::optional<char> asked_byte(const ir::Conditions &conditions, std::size_t place)
{
    const ir::Field field = at(ir::Field::in_0, place / 4);
    const std::size_t shift = 8 * (3 - place % 4);
    for (const ir::Condition &condition : conditions) {
        const auto *range = std::get_if<ir::Range>(&condition);
        if (range == nullptr || range->field != field || (range->low & range->span) != 0)
            continue;
        if ((range->span >> shift) == 0)
            return static_cast<char>(range->low >> shift & 0xff);
    }
    return std::nullopt;
}

// The one name that a rule asks for: the name and its NUL are compared.
std::optional<std::string> exact_name(const ir::Rule &rule)
{
    std::string name;
    for (std::size_t i = 0; i < name_size; ++i) {
        const std::optional<char> byte = asked_byte(rule.conditions, i);
        if (!byte)
            return std::nullopt;
        if (*byte == '\0')
            return name.empty() ? std::nullopt : std::optional(name);
        name += *byte;
    }
    return std::nullopt;
}

// What a condition answers for packets that come in by this device, and go out by none; nothing
// if it is about something else.
class Known {
public:
    explicit Known(std::string_view device) : device_(device) {}

    std::optional<bool> operator()(const ir::Range &test) const
    {
        const auto word = device_word(test.field);
        return word ? std::optional(*word - test.low <= test.span) : std::nullopt;
    }

    std::optional<bool> operator()(const ir::Masked &test) const
    {
        const auto word = device_word(test.field);
        return word ? std::optional((*word & test.mask) - test.low <= test.span) : std::nullopt;
    }

    std::optional<bool> operator()(const ir::Not &group) const
    {
        bool all = true;
        for (const ir::Test &test : group.all) {
            const std::optional<bool> one = std::visit(*this, test);
            if (!one)
                return std::nullopt;
            all = all && *one;
        }
        return !all;
    }

    std::optional<bool> operator()(const ir::AnyOf & /*any*/) const { return std::nullopt; }
    std::optional<bool> operator()(const ir::Require & /*require*/) const { return std::nullopt; }
    std::optional<bool> operator()(const ir::Listed & /*listed*/) const { return std::nullopt; }
    std::optional<bool> operator()(const ir::Kernel & /*kernel*/) const { return std::nullopt; }
    std::optional<bool> operator()(const ir::Never & /*never*/) const { return false; }

private:
    [[nodiscard]] std::optional<std::uint32_t> device_word(ir::Field field) const
    {
        for (std::size_t i = 0; i < name_words; ++i) {
            if (field == at(ir::Field::in_0, i))
                return name_word(device_, i);
            if (field == at(ir::Field::out_0, i))
                return 0; // INPUT has none
        }
        return std::nullopt;
    }

    std::string_view device_;
};

bool may_hotdrop(const ir::Condition &condition)
{
    return std::holds_alternative<ir::Require>(condition);
}

// The rule without the conditions that are known to be true; nothing if one is false. But one
// that is asked before it may have dropped the packet on the spot: then the rule stays, as far as
// that.
std::optional<ir::Rule> specialise_rule(const ir::Rule &rule, std::string_view device)
{
    ir::Rule result{.id = rule.id, .conditions = {}, .verdict = rule.verdict, .text = rule.text};
    bool hotdrops = false;
    for (const ir::Condition &condition : rule.conditions) {
        const std::optional<bool> answer = std::visit(Known(device), condition);
        if (!answer) {
            result.conditions.push_back(condition);
            hotdrops = hotdrops || may_hotdrop(condition);
        } else if (!*answer && !hotdrops) {
            return std::nullopt;
        } else if (!*answer) {
            result.conditions.emplace_back(ir::Never{});
            break;
        }
    }
    return result;
}

} // namespace

std::span<const ir::Rule> leading_rules(const ir::Table &table, ir::Hook hook)
{
    const auto &entry = table.hooks.at(static_cast<std::size_t>(hook));
    if (!entry || table.family != ir::Family::ipv4 || entry->entry >= table.rules.size())
        return {};
    const auto all = std::span(table.rules).subspan(entry->entry);
    std::size_t count = 0;
    std::size_t words = 0;
    for (const ir::Rule &rule : all) {
        words += rule.conditions.words();
        if (!decidable(rule) || count == lead_rules_max || words > lead_words_max)
            break;
        ++count;
        if (rule.conditions.empty() && is_final(rule))
            break;
    }
    return all.first(count);
}

bool names_device(std::span<const ir::Rule> lead)
{
    return std::ranges::any_of(
        lead, [](const ir::Rule &rule) { return is_drop(rule) && exact_name(rule); });
}

std::vector<std::string> lead_devices(std::span<const ir::Rule> lead)
{
    std::set<std::string> names;
    for (const ir::Rule &rule : lead) {
        if (!is_drop(rule))
            continue;
        if (const std::optional<std::string> name = exact_name(rule))
            names.insert(*name);
    }
    return {names.begin(), names.end()};
}

std::vector<ir::Rule> specialise(std::span<const ir::Rule> lead, std::string_view device)
{
    std::vector<ir::Rule> result;
    for (const ir::Rule &rule : lead) {
        std::optional<ir::Rule> special = specialise_rule(rule, device);
        if (!special)
            continue;
        result.push_back(std::move(*special));
        if (result.back().conditions.empty() && is_final(result.back()))
            break;
    }
    while (!result.empty() && !is_drop(result.back()))
        result.pop_back();
    return result;
}

} // namespace bpfilter::xdp
