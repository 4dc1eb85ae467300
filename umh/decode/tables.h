// SPDX-License-Identifier: GPL-2.0
//
// Tables that exist: what iptable_filter and its sisters register in the kernel. A table
// of another family or name is one more row.
#pragma once

#include "umh/ir/table.h"
#include "umh/util/result.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace bpfilter::decode {

struct TableProperties {
    std::string_view name;
    ir::Family family;
    std::uint32_t valid_hooks; // bit n: hook n
    // Per hook, enum nf_ip_hook_priorities; of valid hooks only.
    std::array<std::int32_t, ir::hook_count> priority;

    bool has(ir::Hook hook) const { return valid_hooks & (1U << static_cast<unsigned>(hook)); }
};

// ENOENT if there is no such table.
Result<const TableProperties *> find_table(ir::Family family, std::string_view name);

} // namespace bpfilter::decode
