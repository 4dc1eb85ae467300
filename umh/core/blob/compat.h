// SPDX-License-Identifier: GPL-2.0
//
// Compat: requests of 32-bit callers, made native before anything else looks at them.
//
// An entry is smaller there: extensions are padded to 4 bytes and may have another
// structure (see Extension), and the fixed part of an IPv6 entry is shorter. So every
// offset behind it differs: of hooks, and of jumps. What no offset leads to, a jump into the
// middle of a rule, stays as wrong as it was, and is found where a native one would be.
#pragma once

#include "umh/core/blob/request.h"
#include "umh/core/blob/uses.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bpfilter::blob {

// By how much the offsets of two layouts differ (xt_compat_add_offset, xt_compat_calc_jump).
class Deltas {
public:
    // The next entry, at this offset in the layout that one comes from, differs by this.
    void add(std::uint32_t offset, std::uint32_t delta);
    // What all entries that begin before `offset` differ by together.
    std::uint32_t before(std::uint32_t offset) const;
    std::uint32_t total() const { return sums_.empty() ? 0 : sums_.back(); }

private:
    std::vector<std::uint32_t> offsets_;
    std::vector<std::uint32_t> sums_; // with the entry at offsets_[i]
};

// By how much an extension is larger natively than in this 32-bit layout:
// xt_compat_match_offset.
std::size_t extra(const extension::Extension &extension, const Layout &compat);

// By how much an entry, of either layout, is larger natively.
std::uint32_t growth(const Entry &entry, std::size_t id, const Uses &uses, const Layout &compat);

struct NativeRequest {
    std::vector<std::byte> bytes;
    Request request; // its entries are `bytes`
    Uses uses;
};

// What check_compat_entry_size_and_hooks and translate_compat_table check before they hand
// on to translate_table, which checks it all again: so an extension that is not supported is
// ENOENT before a bad policy is EINVAL. Counters are left out.
Result<NativeRequest> make_native(const Request &request, const Layout &compat);

} // namespace bpfilter::blob
