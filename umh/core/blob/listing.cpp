// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/listing.h"

#include <stdexcept>

namespace bpfilter::blob {

std::vector<std::byte> encode_entries(const DecodedTable &decoded,
                                      std::span<const ir::Counters> counters)
{
    if (counters.size() != decoded.offsets.size())
        throw std::invalid_argument("counters of another table");
    auto bytes = decoded.entries;
    for (std::size_t id = 0; id < counters.size(); ++id)
        store(bytes, decoded.offsets[id] + decoded.layout->counters, counters[id]);
    return bytes;
}

} // namespace bpfilter::blob
