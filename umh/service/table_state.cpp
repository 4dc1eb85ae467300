// SPDX-License-Identifier: GPL-2.0
#include "umh/service/table_state.h"

#include "umh/counters/counters.h"
#include "umh/load/map.h"
#include "umh/xdp/lead.h"

#include <utility>

namespace bpfilter::service {

namespace {

// How many rules, from the first of the table, the lead of INPUT reaches to.
std::size_t lead_end(const ir::Table &table)
{
    const auto &hook = table.hooks[static_cast<std::size_t>(ir::Hook::local_in)];
    if (!may_want_devices(table) || !hook)
        return 0;
    return hook->entry + xdp::find_lead(table, ir::Hook::local_in).size();
}

void forget(ir::Table &table)
{
    table.rules.resize(lead_end(table));
    table.rules.shrink_to_fit();
    table.chains = {};
}

} // namespace

bool may_want_devices(const ir::Table &table)
{
    return table.family == ir::Family::ipv4 && table.name == "filter";
}

Result<TableState> TableState::make(decode::DecodedTable decoded, int counters_fd, int base_fd)
{
    const auto counters = map_id(counters_fd);
    if (!counters)
        return fail(counters.error());
    const auto base = map_id(base_fd);
    if (!base)
        return fail(base.error());
    TableState state;
    forget(decoded.table);
    state.decoded = std::move(decoded);
    state.counters_ = *counters;
    state.base_ = *base;
    return state;
}

Result<std::vector<ir::Counters>> TableState::read() const
{
    const auto counters = open_map(counters_);
    if (!counters)
        return fail(counters.error());
    const auto base = open_map(base_);
    if (!base)
        return fail(base.error());
    return read_counters(counters->get(), base->get(), rule_count());
}

Result<> TableState::add(std::span<const ir::Counters> counters) const
{
    const auto base = open_map(base_);
    if (!base)
        return fail(base.error());
    return add_counters(base->get(), counters);
}

Result<UniqueFd> TableState::open_counters() const
{
    return open_map(counters_);
}

Result<UniqueFd> TableState::open_base() const
{
    return open_map(base_);
}

} // namespace bpfilter::service
