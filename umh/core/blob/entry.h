// SPDX-License-Identifier: GPL-2.0
//
// An entry: one rule as bytes, and the walk over all of them.
//
// read_entry() is all that stands between a caller's bytes and the rest of decode: what
// it lets pass may be read through Entry without another look at a size or an offset.
#pragma once

#include "umh/core/blob/layout.h"
#include "umh/core/blob/request.h"
#include "umh/core/extension/view.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bpfilter::blob {

// A checked entry. Refers to the bytes of the request.
class Entry {
public:
    Entry(Bytes bytes, const Layout &layout) : bytes_(bytes), layout_(&layout) {}

    std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }
    Bytes bytes() const { return bytes_; }
    Bytes ip() const { return bytes_.first(layout_->ip_size); }
    ir::Conditions ip_conditions() const { return layout_->ip_conditions(ip()); }
    std::string ip_text() const { return layout_->ip_text(ip()); }
    std::uint16_t protocol() const;
    bool protocol_inverted() const;
    // It names a protocol, which this kernel does not take for asking for it.
    bool protocol_unasked() const;
    bool go_to() const;

    std::size_t target_offset() const;
    ExtensionView target() const;

    // Calls `f(ExtensionView, offset)` for every match in order, until it returns false.
    template <typename F> void each_match(F f) const;

    bool is_standard() const { return target().name().empty(); }
    bool is_error() const;
    // Of a standard target.
    std::int32_t verdict() const;
    // Asks nothing of a packet: all of the conditional part is zero, and no match.
    bool unconditional() const;

private:
    ExtensionView extension_at(std::size_t offset) const;

    Bytes bytes_;
    const Layout *layout_;
};

// The entry at `position`, which is number `id`. EINVAL: a size or an offset, a flag or a
// verdict is not as it must be.
Result<Entry> read_entry(Bytes entries, std::size_t position, std::size_t id, const Layout &layout);

// All entries of a request in order.
struct Entries {
    std::vector<Entry> list;
    std::vector<std::uint32_t> offsets;
    std::uint32_t errors = 0; // targets ERROR: the depth of the jump stack
};

// Steps 1 and 2 of translate_table: sizes and offsets of every entry, underflows that are
// policies, and the number of entries. EINVAL; ENOMEM: more than ip_tables would try.
Result<Entries> walk_entries(const Request &request, const Layout &layout);

template <typename F> void Entry::each_match(F f) const
{
    for (std::size_t offset = layout_->entry_size; offset < target_offset();) {
        const auto match = extension_at(offset);
        if (!f(match, offset))
            return;
        offset += match.size();
    }
}

} // namespace bpfilter::blob
