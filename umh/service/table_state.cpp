// SPDX-License-Identifier: GPL-2.0
#include "umh/service/table_state.h"

#include "umh/xdp/lead.h"

#include <utility>

namespace bpfilter::service {

namespace {

void forget(ir::Table &table)
{
    table.rules.resize(device_rules(table));
    table.rules.shrink_to_fit();
    table.chains = {};
}

} // namespace

bool may_want_devices(const ir::Table &table)
{
    return table.family == ir::Family::ipv4 && table.name == "filter";
}

std::size_t device_rules(const ir::Table &table)
{
    const auto &hook = table.hooks[static_cast<std::size_t>(ir::Hook::local_in)];
    if (!may_want_devices(table) || !hook)
        return 0;
    return hook->entry + xdp::find_lead(table, ir::Hook::local_in).size();
}

TableState::TableState(blob::DecodedTable decoded, const Counting &counting, Block block)
    : decoded(std::move(decoded)), counting_(counting), block_(std::move(block))
{
    forget(this->decoded.table);
}

// What another helper wrote stays where it is.
Result<ArenaLeave> TableState::leave_arena() const
{
    return block_ ? counting_.leave_arena() : ArenaLeave();
}

} // namespace bpfilter::service
