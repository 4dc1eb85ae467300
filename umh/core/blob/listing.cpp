// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/listing.h"

#include "umh/core/blob/compat_listing.h"

#include <stdexcept>

namespace bpfilter::blob {

std::size_t entries_size(const DecodedTable &decoded, const Layout &layout)
{
    return decoded.entries.size() - differences(decoded, layout).total();
}

std::vector<std::byte> encode_entries(const DecodedTable &decoded,
                                      std::span<const ir::Counters> counters, const Layout &layout)
{
    if (counters.size() != decoded.offsets.size())
        throw std::invalid_argument("counters of another table");
    auto bytes = decoded.entries;
    for (std::size_t id = 0; id < counters.size(); ++id)
        store(bytes, decoded.offsets[id] + decoded.layout->counters, counters[id]);
    return layout.native ? narrow_entries(decoded, bytes, layout) : bytes;
}

} // namespace bpfilter::blob
