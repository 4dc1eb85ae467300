// SPDX-License-Identifier: GPL-2.0
//
// The answer to GET_ENTRIES: the entries of a table with what they have counted.
#pragma once

#include "umh/decode/table.h"
#include "umh/ir/counters.h"

#include <cstddef>
#include <span>
#include <vector>

namespace bpfilter::encode {

// How long the answer is in the caller's layout, as GET_INFO told.
std::size_t entries_size(const decode::DecodedTable &decoded, const decode::Layout &layout);

// `counters` has one element per rule, in the order of rule ids.
std::vector<std::byte> encode_entries(const decode::DecodedTable &decoded,
                                      std::span<const ir::Counters> counters,
                                      const decode::Layout &layout);

} // namespace bpfilter::encode
