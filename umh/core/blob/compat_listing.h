// SPDX-License-Identifier: GPL-2.0
//
// Compat: listings for 32-bit callers, made of the native ones; the way back from
// decode/compat.h.
#pragma once

#include "umh/core/blob/compat.h"
#include "umh/core/blob/table.h"

#include <cstddef>
#include <vector>

namespace bpfilter::blob {

// By how much offsets are smaller for a caller with this layout: nothing, for a native one.
// Throws std::invalid_argument for another one if the table has something of the kernel's.
Deltas differences(const DecodedTable &decoded, const Layout &layout);

// `native` entries of this table, counters and all, in a 32-bit layout
// (compat_copy_entries_to_user). Every entry begins where `next_offset` of the one before
// says it does.
std::vector<std::byte> narrow_entries(const DecodedTable &decoded, Bytes native,
                                      const Layout &compat);

} // namespace bpfilter::blob
