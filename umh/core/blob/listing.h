// SPDX-License-Identifier: GPL-2.0
//
// The answer to GET_ENTRIES: the entries of a table with what they have counted.
#pragma once

#include "umh/core/blob/table.h"
#include "umh/core/ir/counters.h"

#include <cstddef>
#include <span>
#include <vector>

namespace bpfilter::blob {

// `counters` has one element per rule, in the order of rule ids.
std::vector<std::byte> encode_entries(const DecodedTable &decoded,
                                      std::span<const ir::Counters> counters);

} // namespace bpfilter::blob
