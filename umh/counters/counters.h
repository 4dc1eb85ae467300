// SPDX-License-Identifier: GPL-2.0
//
// counters: what a table has counted. A rule's count is its element of bf_base and the sum
// over all possible CPUs of its element of bf_counters; both wrap around.
#pragma once

#include "umh/core/ir/counters.h"
#include "umh/util/result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter {

// The counts of rules 0 to count - 1. A base of -1 is none.
Result<std::vector<ir::Counters>> read_counters(int counters_fd, int base_fd, std::uint32_t count);

// Adds to rules 0 to added.size() - 1, in one update of the base.
Result<> add_counters(int base_fd, std::span<const ir::Counters> added);

} // namespace bpfilter
