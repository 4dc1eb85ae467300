// SPDX-License-Identifier: GPL-2.0
//
// records: a table as it lies in the arena (umh/bpf/record.h): for each hook a root, then the
// rules' records, what stands behind them, and the counters of each CPU.
#pragma once

#include "umh/core/records/wants.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bpfilter::records {

// Where a rule counts: it keeps this as long as it is there. Today the same number as its position.
enum class Slot : std::uint32_t {};

// Where a rule stands among others: one that is put in before it changes that.
enum class Position : std::uint32_t {};

// What it takes, in bytes.
struct Size {
    std::size_t rules = 0;    // at most
    std::size_t counters = 0; // of one CPU
};

Size size_of(const ir::Table &table, const HookWants &wants);

// Where the counters of CPU 0 are, and from there on those of the next one.
struct Counting {
    std::uint32_t place = 0;
    std::uint32_t stride = 0;
};

struct Encoded {
    std::array<std::uint32_t, ir::hook_count> roots{}; // places of struct bpfilter_root
    std::uint32_t usual = 0;                           // the records of each way
    std::uint32_t exact = 0;                           // the same, if no header is asked for
    std::size_t used = 0;                              // bytes
};

// Into `to`, which is at `place` in the arena.
Encoded encode(const ir::Table &table, const HookWants &wants, std::span<std::byte> to,
               std::uint32_t place, const Counting &counting);

} // namespace bpfilter::records
