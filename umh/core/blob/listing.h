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

// How long the answer is in the caller's layout, as GET_INFO told.
std::size_t entries_size(const DecodedTable &decoded, const Layout &layout);

// `counters` has one element per rule, in the order of rule ids.
std::vector<std::byte> encode_entries(const DecodedTable &decoded,
                                      std::span<const ir::Counters> counters, const Layout &layout);

} // namespace bpfilter::blob
