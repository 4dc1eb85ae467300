// SPDX-License-Identifier: GPL-2.0
//
// Compat: listings for 32-bit callers, made of the native ones; the way back from
// decode/compat.h.
#pragma once

#include "umh/decode/compat.h"
#include "umh/decode/table.h"

#include <cstddef>
#include <vector>

namespace bpfilter::encode {

// By how much offsets are smaller for a caller with this layout: nothing, for a native one.
decode::Deltas differences(const decode::DecodedTable &decoded, const decode::Layout &layout);

// `native` entries of this table, counters and all, in a 32-bit layout
// (compat_copy_entries_to_user). Every entry begins where `next_offset` of the one before
// says it does.
std::vector<std::byte> narrow_entries(const decode::DecodedTable &decoded, Bytes native,
                                      const decode::Layout &compat);

} // namespace bpfilter::encode
