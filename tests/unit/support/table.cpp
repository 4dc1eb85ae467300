// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/table.h"

#include "tests/unit/support/lower.h"
#include "tests/unit/support/packet.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>

namespace bpfilter::test {

namespace {

template <typename T> Match address_match(const std::string &address, unsigned prefix, bool invert)
{
    T match;
    match.invert = invert;
    const auto fill = [&](const auto &bytes) {
        for (unsigned i = 0; i < std::min<std::size_t>(prefix, 8 * bytes.size()); ++i)
            match.mask[i / 8] |= std::byte{static_cast<unsigned char>(0x80 >> i % 8)};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            match.value[i] = bytes[i] & match.mask[i];
    };
    if (address.contains(':'))
        fill(ipv6(address));
    else
        fill(ipv4(address));
    return match;
}

template <typename T> Match device_match(const std::string &device, bool invert)
{
    T match;
    match.invert = invert;
    const bool wildcard = device.ends_with('+');
    const std::size_t length = device.size() - (wildcard ? 1 : 0);
    std::copy_n(device.begin(), length, match.name.begin());
    std::fill_n(match.mask.begin(), wildcard ? length : length + 1, '\xff');
    return match;
}

// As decode does it: one to the next rule is none.
template <typename T> ir::Verdict jump(ir::RuleId target, ir::RuleId next)
{
    return target == next ? ir::Verdict(ir::Continue{}) : ir::Verdict(T{target});
}

} // namespace

Match from(const std::string &address, unsigned prefix, bool invert)
{
    return address_match<SourceAddress>(address, prefix, invert);
}

Match to(const std::string &address, unsigned prefix, bool invert)
{
    return address_match<DestinationAddress>(address, prefix, invert);
}

Match in(const std::string &device, bool invert)
{
    return device_match<InInterface>(device, invert);
}

Match out(const std::string &device, bool invert)
{
    return device_match<OutInterface>(device, invert);
}

Match protocol(std::uint16_t value, bool invert)
{
    return Protocol{value, invert};
}

ChainBuilder &ChainBuilder::rule(Matches matches, ir::Verdict verdict)
{
    rules_.push_back(Draft{std::move(matches), Kind::verdict, verdict, {}});
    return *this;
}

ChainBuilder &ChainBuilder::count(Matches matches)
{
    rules_.push_back(Draft{std::move(matches), Kind::next, {}, {}});
    return *this;
}

ChainBuilder &ChainBuilder::jump(Matches matches, const std::string &chain)
{
    rules_.push_back(Draft{std::move(matches), Kind::jump, {}, chain});
    return *this;
}

ChainBuilder &ChainBuilder::go(Matches matches, const std::string &chain)
{
    rules_.push_back(Draft{std::move(matches), Kind::go, {}, chain});
    return *this;
}

ChainBuilder &TableBuilder::chain(const std::string &name, ir::Hook hook, ir::Verdict policy)
{
    ChainBuilder &chain = this->chain(name);
    chain.hook_ = hook;
    chain.policy_ = policy;
    return chain;
}

ChainBuilder &TableBuilder::chain(const std::string &name)
{
    if (chains_.size() == chains_.capacity())
        throw std::length_error("too many chains for TableBuilder");
    ChainBuilder chain;
    chain.name_ = name;
    chains_.push_back(std::move(chain));
    return chains_.back();
}

TableBuilder &TableBuilder::family(ir::Family family)
{
    family_ = family;
    return *this;
}

// As libiptc lays a table out: user chains between an ERROR node and a RETURN, an ERROR
// node at the end.
BuiltTable TableBuilder::build() const
{
    BuiltTable table;
    table.name = "filter";
    table.family = family_;
    std::map<std::string, ir::RuleId> firsts;
    ir::RuleId id = 0;
    for (const ChainBuilder &chain : chains_) {
        id += chain.hook_ ? 0 : 1;
        firsts[chain.name_] = id;
        id += static_cast<ir::RuleId>(chain.rules_.size()) + 1;
    }

    const auto add = [&table](Matches matches, ir::Verdict verdict) {
        const auto next = static_cast<ir::RuleId>(table.rules.size());
        const std::string text = "-A rule " + std::to_string(next);
        table.rules.push_back(ir::Rule{next, lower(matches, table.family), verdict, text});
        table.matches.push_back(std::move(matches));
    };
    for (const ChainBuilder &chain : chains_) {
        if (!chain.hook_) {
            add({}, ir::Drop{});
            ++table.stack_depth;
        }
        for (const ChainBuilder::Draft &draft : chain.rules_) {
            const auto next = static_cast<ir::RuleId>(table.rules.size()) + 1;
            switch (draft.kind) {
            case ChainBuilder::Kind::verdict:
                add(draft.matches, draft.verdict);
                break;
            case ChainBuilder::Kind::next:
                add(draft.matches, ir::Continue{});
                break;
            case ChainBuilder::Kind::jump:
                add(draft.matches, jump<ir::Jump>(firsts.at(draft.chain), next));
                break;
            case ChainBuilder::Kind::go:
                add(draft.matches, jump<ir::Goto>(firsts.at(draft.chain), next));
                break;
            }
        }
        const auto foot = static_cast<ir::RuleId>(table.rules.size());
        add({}, chain.hook_ ? chain.policy_ : ir::Verdict(ir::Return{}));
        const ir::RuleId first = firsts.at(chain.name_);
        table.chains.push_back(ir::Chain{chain.name_, first, foot, chain.hook_});
        if (chain.hook_)
            table.hooks[static_cast<std::size_t>(*chain.hook_)] =
                ir::HookEntry{.entry = first, .underflow = foot};
    }
    add({}, ir::Drop{});
    ++table.stack_depth;
    return table;
}

} // namespace bpfilter::test
