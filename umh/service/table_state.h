// SPDX-License-Identifier: GPL-2.0
//
// What the helper knows of a table in force: what its caller gave, what it means, and where
// it counts. The module keeps the maps too, so this can be made anew by a successor.
#pragma once

#include "umh/core/blob/table.h"
#include "umh/counters/counting.h"
#include "umh/load/arena.h"
#include "umh/util/result.h"

#include <cstdint>
#include <vector>

namespace bpfilter::service {

struct TableState {
    blob::DecodedTable decoded;
    Counting counting;
    // As data, if this helper wrote it: what packets walk. Not before they have left may it go.
    Block block = {};

    std::uint32_t rule_count() const
    {
        return static_cast<std::uint32_t>(decoded.table.rules.size());
    }

    Result<std::vector<ir::Counters>> read() const { return counting.read(rule_count()); }
};

} // namespace bpfilter::service
