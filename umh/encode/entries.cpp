// SPDX-License-Identifier: GPL-2.0
#include "umh/encode/entries.h"

#include "umh/encode/compat.h"

#include <stdexcept>

namespace bpfilter::encode {

std::size_t entries_size(const decode::DecodedTable &decoded, const decode::Layout &layout)
{
    return decoded.entries.size() - differences(decoded, layout).total();
}

std::vector<std::byte> encode_entries(const decode::DecodedTable &decoded,
                                      std::span<const ir::Counters> counters,
                                      const decode::Layout &layout)
{
    if (counters.size() != decoded.offsets.size())
        throw std::invalid_argument("counters of another table");
    auto bytes = decoded.entries;
    for (std::size_t id = 0; id < counters.size(); ++id)
        store(bytes, decoded.offsets[id] + decoded.layout->counters, counters[id]);
    return layout.native ? narrow_entries(decoded, bytes, layout) : bytes;
}

} // namespace bpfilter::encode
