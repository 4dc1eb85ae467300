// SPDX-License-Identifier: GPL-2.0
//
// What the helper knows of a table in force: what its caller gave, what it means, and where
// it counts. The module keeps the maps too, so this can be made anew by a successor.
#pragma once

#include "umh/counters/counters.h"
#include "umh/decode/table.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <cstdint>
#include <vector>

namespace bpfilter::service {

// The order of the descriptors that the module keeps with a table.
enum Kept : std::size_t { kept_counters, kept_base, kept_count };

struct TableState {
    decode::DecodedTable decoded;
    UniqueFd counters;        // bf_counters
    UniqueFd base;            // bf_base
    std::uint64_t serial = 0; // another one for every table of the namespace

    std::uint32_t rule_count() const
    {
        return static_cast<std::uint32_t>(decoded.table.rules.size());
    }

    Result<std::vector<ir::Counters>> read() const
    {
        return read_counters(counters.get(), base.get(), rule_count());
    }
};

} // namespace bpfilter::service
