// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/rules.h"

#include "umh/core/blob/conditional.h"
#include "umh/core/extension/text.h"
#include "umh/util/deadline.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

namespace bpfilter::blob {

namespace {

using extension::MatchExtension;
using extension::TargetExtension;
using ir::RuleId;

// Nobody reads on behind that; a rule may have a thousand matches.
constexpr std::size_t matches_text_max = 240;

void add_text(std::string &text, const ExtensionView &match, const std::string &meaning)
{
    constexpr std::string_view more = " ...";
    if (text.size() <= matches_text_max)
        text += " -m " + extension::printable(match.name()) + meaning;
    else if (!text.ends_with(more))
        text += more;
}

// One rule after the other: a packet's questions and what becomes of it.
class Decoder {
public:
    Decoder(const RuleContext &context, std::vector<KernelEntry> &checks)
        : context_(context), family_(context.layout.family), checks_(checks)
    {
        tells_transport_ = std::ranges::any_of(context.entries.list, [this](const Entry &entry) {
            return entry.protocol_unasked() && uses_kernel(entry);
        });
    }

    Result<ir::Rule> rule(RuleId id)
    {
        Deadline::look();
        const Entry &entry = context_.entries.list[id];
        ir::Rule rule{
            .id = id, .conditions = ip_conditions(entry), .verdict = ir::Drop{}, .text = {}};
        const bool asks = !never(rule.conditions);
        begin_instances(id);
        Result<> checked;
        entry.each_match([&](const ExtensionView &view, std::size_t) {
            auto meaning = match(id, view);
            if (!meaning) {
                checked = fail(std::move(meaning.error()));
                return false;
            }
            // A rule that never matches asks nothing more; its extensions are checked all the same.
            if (asks)
                rule.conditions.append(meaning->conditions);
            add_text(rule.text, view, meaning->text);
            return true;
        });
        if (!checked)
            return fail(std::move(checked.error()));
        rule.conditions.shrink_to_fit();
        auto meaning = target(id);
        if (!meaning)
            return fail(std::move(meaning.error()));
        rule.verdict = meaning->verdict;
        if (const auto name = entry.target().name(); !entry.is_standard() && !entry.is_error())
            rule.text += " -j " + extension::printable(name) + meaning->text;
        return rule;
    }

    Uses take_uses() && { return std::move(found_); }

private:
    // The kernel's own matches in a rule that asks for no protocol are told what was found for a
    // rule before, so it must learn of each that asks.
    ir::Conditions ip_conditions(const Entry &entry) const
    {
        ir::Conditions asked = entry.ip_conditions();
        if (!tells_transport_)
            return asked;
        ir::Conditions told;
        for (const ir::Condition &condition : asked) {
            told.push_back(condition);
            if (std::holds_alternative<ir::Require>(condition)) // of the IP part: transport
                told.emplace_back(ir::Kernel{ir::Kernel::transport});
        }
        return told;
    }

    // Does the kernel check this entry? Then its matches and its target have numbers.
    void begin_instances(RuleId id)
    {
        const Entry &entry = context_.entries.list[id];
        counts_ = uses_kernel(entry);
        if (counts_)
            checks_.push_back({context_.entries.offsets[id], context_.reach[id]});
    }

    bool uses_kernel(const Entry &entry) const
    {
        bool some = false;
        entry.each_match([&](const ExtensionView &view, std::size_t) {
            const auto found = look_up(entry, view);
            some = is_of_kernel(found) || (found && (*found)->kernel_checks);
            return !some;
        });
        return some || is_of_kernel(find_target(family_, entry.target()));
    }

    bool has_size(const ExtensionView &view, const MatchExtension &row) const
    {
        return view.payload().size() == context_.layout.align(row.size);
    }

    // Does it look into the transport header, and finds the IPv6 header there? Of that we have no
    // fields.
    bool is_misplaced(const Entry &entry, const ExtensionView &view,
                      const MatchExtension &row) const
    {
        if (!entry.protocol_unasked() || !has_size(view, row))
            return false;
        const auto meaning = row.read(view.payload());
        return meaning && parts_of(meaning->conditions).has(ir::Part::transport);
    }

    // ENOENT: it is the kernel's.
    Result<const MatchExtension *> look_up(const Entry &entry, const ExtensionView &view) const
    {
        Deadline::look();
        auto found = find_match(family_, view);
        if (!found)
            return found;
        const MatchExtension &row = **found;
        const bool left = row.is_left && has_size(view, row) && row.is_left(view.payload());
        if (left || is_misplaced(entry, view, row))
            return fail(ENOENT);
        return found;
    }

    template <typename T> static bool is_of_kernel(const Result<const T *> &found)
    {
        return !found && found.error().code == ENOENT;
    }

    std::uint32_t next_instance() { return counts_ ? instances_++ : 0; }

    Result<extension::Meaning> match(RuleId id, const ExtensionView &view)
    {
        const auto match = look_up(context_.entries.list[id], view);
        const std::uint32_t instance = next_instance();
        if (counts_ && is_of_kernel(match)) {
            found_.add(static_cast<const MatchExtension *>(nullptr));
            return extension::Meaning{.conditions = {ir::Kernel{instance}}, .text = {}};
        }
        if (!match)
            return fail(match.error());
        const MatchExtension &row = **match;
        found_.add(&row);
        if (auto right = check("match", row, id, view); !right)
            return fail(std::move(right.error()));
        auto meaning = row.read(view.payload());
        if (!meaning)
            return fail(meaning.error().code,
                        extension::describe("match", row) + ": " + meaning.error().message);
        return meaning;
    }

    Result<extension::TargetMeaning> target(RuleId id)
    {
        const Entry &entry = context_.entries.list[id];
        const auto view = entry.target();
        const auto target = find_target(family_, view);
        const std::uint32_t instance = next_instance();
        if (counts_ && is_of_kernel(target)) {
            found_.add(static_cast<const TargetExtension *>(nullptr));
            return extension::TargetMeaning{ir::KernelTarget{instance}};
        }
        if (!target)
            return fail(target.error());
        const TargetExtension &row = **target;
        found_.add(&row);
        if (auto right = check("target", row, id, view); !right)
            return fail(std::move(right.error()));
        return row.read({
            .payload = view.payload(),
            .rule = id,
            .go_to = entry.go_to(),
            .offsets = context_.entries.offsets,
        });
    }

    Result<> check(std::string_view kind, const extension::Extension &row, RuleId id,
                   const ExtensionView &view) const
    {
        const Entry &entry = context_.entries.list[id];
        return check_use(kind, row, context_.layout.align(row.size),
                         {
                             .payload_size = view.payload().size(),
                             .table = context_.table,
                             .hooks = context_.reach[id],
                             .protocol = entry.protocol(),
                             .protocol_inverted = entry.protocol_inverted(),
                         });
    }

    const RuleContext &context_;
    ir::Family family_;
    std::vector<KernelEntry> &checks_;
    bool tells_transport_ = false;
    bool counts_ = false; // this entry is one that the kernel checks
    std::uint32_t instances_ = 0;
    Uses found_;
};

} // namespace

Result<Rules> decode_rules(const RuleContext &context, std::vector<KernelEntry> &checks)
{
    Decoder decoder(context, checks);
    Rules rules;
    rules.list.reserve(context.entries.list.size());
    for (RuleId id = 0; id < context.entries.list.size(); ++id) {
        auto rule = decoder.rule(id);
        if (!rule) {
            auto &error = rule.error();
            return fail(error.code, context.chains.rule_name(id) + ": " + error.message);
        }
        rules.list.push_back(std::move(*rule));
    }
    rules.uses = std::move(decoder).take_uses();
    return rules;
}

} // namespace bpfilter::blob
