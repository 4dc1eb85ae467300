// SPDX-License-Identifier: GPL-2.0
//
// What the helper knows of a table in force: what its caller gave, and where it counts. What it
// means is forgotten, but for the rules that devices may decide. The module keeps the maps, so no
// descriptor is held here, and a successor can make all of this anew.
#pragma once

#include "umh/decode/table.h"
#include "umh/ir/counters.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter::service {

// The order of the descriptors that the module keeps with a table.
enum Kept : std::size_t { kept_counters, kept_base, kept_count };

class TableState {
public:
    TableState() = default;
    // Of maps that the module holds, or will when this counts.
    static Result<TableState> make(decode::DecodedTable decoded, int counters_fd, int base_fd);

    // Of its rules the leading ones alone, and those only where devices may have use of them.
    decode::DecodedTable decoded;
    std::uint64_t serial = 0; // another one for every table of the namespace

    std::uint32_t rule_count() const { return static_cast<std::uint32_t>(decoded.offsets.size()); }
    Result<std::vector<ir::Counters>> read() const;
    Result<> add(std::span<const ir::Counters> counters) const;
    Result<UniqueFd> open_counters() const;
    Result<UniqueFd> open_base() const;

private:
    std::uint32_t counters_ = 0; // the numbers of bf_counters
    std::uint32_t base_ = 0;     // and bf_base
};

// Is this the table whose rules a device may decide?
bool may_want_devices(const ir::Table &table);

} // namespace bpfilter::service
