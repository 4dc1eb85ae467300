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

// What a table will take of an arena, known before anything is made.
struct TablePlan {
    records::HookWants wants;
    records::Size size;
    std::uint32_t cpus = 0;

    [[nodiscard]] std::size_t bytes() const { return size.counters * cpus + size.rules; }
};

// ENOMEM: its chains are nested too deep.
Result<TablePlan> plan_table(const ir::Table &table);

// Its counters are zero. ENOMEM: there is no memory for it, or it is larger than an arena can be.
Result<WrittenTable> write_table(Arenas &arenas, const ir::Table &table, const TablePlan &plan);

} // namespace bpfilter
