// SPDX-License-Identifier: GPL-2.0
//
// The canonical blob: entries as a listing gives them back.
#pragma once

#include "umh/core/blob/uses.h"
#include "umh/util/bytes.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter::blob {

// All bytes up to the counters as the caller gave them, but for `comefrom`, which is the
// mask of hooks in `reach`, and IPv6's flag that a protocol is asked, which is set if one is given
// (but see Layout::protocol_flag); counters
// zero; of each extension size, name, revision, and the payload as far as users may see it; those
// of the kernel's as they are; all else zero.
//
// In place: `bytes` are those that the entries refer to, and are this behind it.
void make_canonical(MutableBytes bytes, const Entries &entries, const Uses &uses,
                    const Layout &layout, std::span<const std::uint32_t> reach);

} // namespace bpfilter::blob
