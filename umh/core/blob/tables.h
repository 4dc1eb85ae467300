// SPDX-License-Identifier: GPL-2.0
//
// Tables that exist: what iptable_filter, ip6table_filter and their sisters register in the
// kernel. Both families have the same. Another table is one more row.
#pragma once

#include "umh/core/ir/table.h"
#include "umh/util/result.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace bpfilter::blob {

struct TableProperties {
    std::string_view name;
    std::uint32_t valid_hooks; // bit n: hook n
    // Per hook, enum nf_ip_hook_priorities; of valid hooks only.
    std::array<std::int32_t, ir::hook_count> priority;
    bool nat = false;           // its hooks are called by the nat core
    std::uint32_t reroutes = 0; // bit n: a packet that changes at hook n is routed anew

    bool has(ir::Hook hook) const { return valid_hooks & (1U << static_cast<unsigned>(hook)); }
};

// ENOENT if there is no such table.
Result<const TableProperties *> find_table(std::string_view name);

} // namespace bpfilter::blob
