// SPDX-License-Identifier: GPL-2.0
//
// What the helper knows of a table in force: what its caller gave, and where it counts. What it
// means is forgotten, but for the rules that devices may decide. The module keeps the maps, so no
// descriptor is held here, and a successor can make all of this anew.
#pragma once

#include "umh/core/blob/table.h"
#include "umh/core/ir/counters.h"
#include "umh/counters/counting.h"
#include "umh/load/arena.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter::service {

class TableState {
public:
    TableState() = default;
    // `block`: as data, if this helper wrote it.
    TableState(blob::DecodedTable decoded, const Counting &counting, Block block = {});

    // Of its rules the leading ones alone, and those only where devices may have use of them.
    blob::DecodedTable decoded;
    std::uint64_t serial = 0; // another one for every table of the namespace

    std::uint32_t rule_count() const { return static_cast<std::uint32_t>(decoded.offsets.size()); }
    const Counting &counting() const { return counting_; }
    Result<std::vector<ir::Counters>> read() const { return counting_.read(rule_count()); }
    Result<> add(std::span<const ir::Counters> counters) const { return counting_.add(counters); }

    // For when it is about to be taken out of force: what it has counted is to be read still when
    // others write where it was walked. Finished when nobody walks it any more.
    Result<ArenaLeave> leave_arena() const;

private:
    Counting counting_;
    Block block_; // what packets walk; it may go when they have left
};

// Is this the table whose rules a device may decide?
bool may_want_devices(const ir::Table &table);

// How many rules, from the first of the table on, that is: to the end of what a device may decide.
std::size_t device_rules(const ir::Table &table);

} // namespace bpfilter::service
