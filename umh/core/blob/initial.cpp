// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/initial.h"

#include "umh/core/blob/request.h"
#include "umh/core/extension/standard.h"

#include <bit>
#include <cstdint>
#include <string_view>

namespace bpfilter::blob {

namespace {

// An entry that asks nothing, with an empty target of this name. The end of `blob`.
MutableBytes append_entry(std::vector<std::byte> &blob, const Layout &layout,
                          std::string_view target, std::size_t payload_size)
{
    const auto start = blob.size();
    const auto target_size = layout.align(extension::extension_header_size + payload_size);
    blob.resize(start + layout.entry_size + target_size);
    const auto entry = MutableBytes(blob).subspan(start);
    store(entry, layout.target_offset, static_cast<std::uint16_t>(layout.entry_size));
    store(entry, layout.next_offset, static_cast<std::uint16_t>(entry.size()));
    store(entry, layout.entry_size, static_cast<std::uint16_t>(target_size));
    store_bytes(entry, layout.entry_size + extension_name_offset, std::as_bytes(std::span(target)));
    return entry.subspan(layout.entry_size + extension::extension_header_size);
}

} // namespace

std::vector<std::byte> initial_replace(const TableProperties &properties, const Layout &layout)
{
    std::vector<std::byte> blob(layout.replace_size);
    HookOffsets offsets{};
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (!properties.has(static_cast<ir::Hook>(hook)))
            continue;
        offsets[hook] = static_cast<std::uint32_t>(blob.size() - layout.replace_size);
        store(append_entry(blob, layout, "", sizeof(std::int32_t)), 0, extension::verdict_accept);
    }
    constexpr std::string_view end = "ERROR";
    store_bytes(append_entry(blob, layout, end, error_name_size), 0, std::as_bytes(std::span(end)));

    const auto entries = static_cast<std::uint32_t>(std::popcount(properties.valid_hooks)) + 1;
    store_bytes(blob, 0, std::as_bytes(std::span(properties.name)));
    store(blob, replace_valid_hooks, properties.valid_hooks);
    store(blob, replace_num_entries, entries);
    store(blob, replace_entries_size,
          static_cast<std::uint32_t>(blob.size() - layout.replace_size));
    store(blob, replace_hook_entry, offsets);
    store(blob, replace_underflow, offsets);
    store(blob, replace_num_counters, entries);
    return blob;
}

} // namespace bpfilter::blob
