// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/info.h"

#include <linux/netfilter_ipv4/ip_tables.h>

#include <algorithm>

namespace bpfilter::blob {

std::vector<std::byte> encode_info(const DecodedTable &decoded)
{
    ipt_getinfo info{};
    std::copy_n(decoded.table.name.begin(),
                std::min(decoded.table.name.size(), sizeof(info.name) - 1), info.name);
    info.valid_hooks = decoded.properties->valid_hooks;
    std::ranges::copy(decoded.hook_entry, info.hook_entry);
    std::ranges::copy(decoded.underflow, info.underflow);
    info.num_entries = static_cast<std::uint32_t>(decoded.offsets.size());
    info.size = static_cast<std::uint32_t>(decoded.entries.size());

    std::vector<std::byte> bytes(sizeof(info));
    store(bytes, 0, info);
    return bytes;
}

} // namespace bpfilter::blob
