// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/info.h"

#include "umh/core/blob/compat_listing.h"

#include <linux/netfilter_ipv4/ip_tables.h>

#include <algorithm>

namespace bpfilter::blob {

std::vector<std::byte> encode_info(const DecodedTable &decoded, const Layout &layout)
{
    const auto deltas = differences(decoded, layout);
    const auto listed = [&deltas](std::uint32_t offset) { return offset - deltas.before(offset); };
    ipt_getinfo info{};
    std::copy_n(decoded.table.name.begin(),
                std::min(decoded.table.name.size(), sizeof(info.name) - 1), info.name);
    info.valid_hooks = decoded.properties->valid_hooks;
    // The slot of a hook that the table does not have becomes 0xffffffff less what the whole
    // table differs by: so does the kernel's.
    std::ranges::transform(decoded.hook_entry, info.hook_entry, listed);
    std::ranges::transform(decoded.underflow, info.underflow, listed);
    info.num_entries = static_cast<std::uint32_t>(decoded.offsets.size());
    info.size = static_cast<std::uint32_t>(decoded.entries.size()) - deltas.total();

    std::vector<std::byte> bytes(sizeof(info));
    store(bytes, 0, info);
    return bytes;
}

} // namespace bpfilter::blob
