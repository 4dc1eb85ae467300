// SPDX-License-Identifier: GPL-2.0
#include "umh/core/records/wants.h"
#include "umh/bpf/record.h"
#include "umh/util/deadline.h"

#include <algorithm>
#include <cstddef>
#include <netinet/in.h>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace bpfilter::records {

namespace {

// The rules that a packet can come to. What a packet cannot do it may be said to do here.
class Reach {
public:
    explicit Reach(const ir::Table &table) : rules_(table.rules), reached_(table.rules.size()) {}

    std::vector<bool> from(const ir::HookEntry &hook)
    {
        visit(hook.entry);
        visit(hook.underflow);
        while (!todo_.empty()) {
            const std::size_t id = todo_.back();
            todo_.pop_back();
            Deadline::look();
            leave(id, rules_[id]);
        }
        return std::move(reached_);
    }

private:
    void visit(std::size_t id)
    {
        if (id >= reached_.size() || reached_[id])
            return;
        reached_[id] = true;
        todo_.push_back(id);
    }

    void leave(std::size_t id, const ir::Rule &rule)
    {
        if (const auto *jump = std::get_if<ir::Jump>(&rule.verdict))
            visit(jump->target);
        if (const auto *go = std::get_if<ir::Goto>(&rule.verdict))
            visit(go->target);
        const bool jumps = std::holds_alternative<ir::Jump>(rule.verdict);
        if (jumps || goes_on(rule.verdict) || !rule.conditions.empty())
            visit(id + 1);
    }

    const std::vector<ir::Rule> &rules_;
    std::vector<bool> reached_;
    std::vector<std::size_t> todo_;
};

// What a rule has asked so far: a rule may have thousands of conditions.
struct Asked {
    std::optional<std::uint32_t> protocol;
    bool tcp = false;

    void add(const ir::Condition &condition)
    {
        if (!protocol)
            protocol = asked_protocol(condition);
        if (const auto *require = std::get_if<ir::Require>(&condition))
            tcp = tcp || require->state == ir::Field::tcp;
    }
};

// What is odd for a state that is asked behind this. Of a transport header that a rule asks for
// together with its protocol, it matters for packets of that protocol alone.
std::uint32_t odd_of(ir::Field state, const Asked &before)
{
    const auto protocol = before.protocol;
    if (state == ir::Field::sctp)
        return BPFILTER_ODD_SCTP;
    switch (usual_state(state, protocol)) {
    case ir::Field::transport:
        return BPFILTER_ODD_TRANSPORT;
    case ir::Field::tcp:
        return protocol == IPPROTO_TCP ? BPFILTER_ODD_TCP_HERE : BPFILTER_ODD_TCP;
    case ir::Field::ports:
        return protocol && protocol != IPPROTO_TCP ? BPFILTER_ODD_PORTS_HERE : BPFILTER_ODD_PORTS;
    case ir::Field::mobility:
        return protocol == IPPROTO_MH ? BPFILTER_ODD_MOBILITY_HERE : BPFILTER_ODD_MOBILITY;
    case ir::Field::tcp_options:
        return before.tcp ? BPFILTER_ODD_TCP_OPTIONS_HERE : BPFILTER_ODD_TCP_OPTIONS;
    case ir::Field::eui64:
        return BPFILTER_ODD_EUI64;
    case ir::Field::hop:
        return BPFILTER_ODD_HOP;
    case ir::Field::routing:
        return BPFILTER_ODD_ROUTING;
    case ir::Field::frag:
        return BPFILTER_ODD_FRAG;
    case ir::Field::ah:
        return BPFILTER_ODD_AH;
    case ir::Field::dst:
        return BPFILTER_ODD_DST;
    default:
        return ~0U; // it is no state, so nothing is known of it
    }
}

bool is_require(const ir::Condition &condition)
{
    return std::holds_alternative<ir::Require>(condition);
}

std::uint32_t odd_of(const ir::Conditions &conditions)
{
    if (std::ranges::none_of(conditions, is_require))
        return 0;
    Asked before;
    std::uint32_t odd = 0;
    for (const ir::Condition &condition : conditions) {
        if (const auto *require = std::get_if<ir::Require>(&condition))
            odd |= odd_of(require->state, before);
        before.add(condition);
    }
    return odd;
}

} // namespace

std::optional<std::uint32_t> asked_protocol(const ir::Condition &condition)
{
    const auto *range = std::get_if<ir::Range>(&condition);
    if (range == nullptr || range->field != ir::Field::protocol || range->span != 0)
        return {};
    return range->low;
}

ir::Field usual_state(ir::Field state, std::optional<std::uint32_t> protocol)
{
    if (state == ir::Field::pair && protocol == IPPROTO_TCP)
        return ir::Field::tcp;
    return state == ir::Field::pair || state == ir::Field::sctp ? ir::Field::ports : state;
}

HookWants wants_of(const ir::Table &table)
{
    HookWants all;
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (!table.hooks[hook])
            continue;
        const std::vector<bool> reached = Reach(table).from(*table.hooks[hook]);
        for (std::size_t id = 0; id < reached.size(); ++id) {
            if (!reached[id])
                continue;
            Deadline::look(table.rules[id].conditions.words());
            all[hook].parts |= ir::parts_of(table.rules[id].conditions);
            all[hook].odd |= odd_of(table.rules[id].conditions);
        }
    }
    return all;
}

} // namespace bpfilter::records
