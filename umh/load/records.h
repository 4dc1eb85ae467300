// SPDX-License-Identifier: GPL-2.0
//
// load: a table written into an arena, ready to be walked.
#pragma once

#include "umh/core/ir/table.h"
#include "umh/core/records/encode.h"
#include "umh/load/arena.h"
#include "umh/util/result.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace bpfilter {

struct WrittenHook {
    int program = -1; // the arena's
    std::uint32_t root = 0;
};

struct WrittenTable {
    Block block; // counters, then what is walked
    records::Counting counting;
    std::uint32_t cpus = 0;
    std::array<WrittenHook, ir::hook_count> hooks; // of those that the table has
};

// Its counters are zero. ENOMEM: there is no memory for it, or it is larger than an arena can be.
Result<WrittenTable> write_table(Arenas &arenas, const ir::Table &table,
                                 LoadDeadline deadline = usual_deadline());

} // namespace bpfilter
