// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/canonical.h"

#include "umh/util/deadline.h"

namespace bpfilter::blob {

namespace {

void put_extension(MutableBytes blob, std::size_t offset, const ExtensionView &view,
                   const extension::Extension &extension)
{
    const auto size = static_cast<std::uint16_t>(view.size());
    store(blob, offset, size);
    store_bytes(blob, offset + extension_name_offset, std::as_bytes(std::span(extension.name)));
    store(blob, offset + extension_revision_offset, extension.revision);
    store_bytes(blob, offset + extension_header_size,
                slice(view.payload(), 0, extension.listed_size()));
}

void put_entry(MutableBytes blob, const Entry &entry, const Layout &layout, std::uint32_t reach)
{
    store_bytes(blob, 0, slice(entry.bytes(), 0, layout.counters));
    store(blob, layout.comefrom, reach);
    if (entry.protocol() != 0 && !layout.lax_protocol)
        blob[layout.flags] |= std::byte{layout.protocol_flag};
}

} // namespace

void make_canonical(MutableBytes bytes, const Entries &entries, const Uses &uses,
                    const Layout &layout, std::span<const std::uint32_t> reach)
{
    std::vector<std::byte> canonical;
    for (std::size_t id = 0; id < entries.list.size(); ++id) {
        Deadline::look();
        const Entry &entry = entries.list[id];
        canonical.assign(entry.size(), std::byte{0});
        const MutableBytes out(canonical);
        put_entry(out, entry, layout, reach[id]);
        each_extension(entry, id, uses,
                       [&](const auto *extension, const ExtensionView &view, std::size_t at) {
                           if (extension != nullptr)
                               put_extension(out, at, view, *extension);
                           else
                               store_bytes(out, at, slice(entry.bytes(), at, view.size()));
                       });
        store_bytes(bytes, entries.offsets[id], canonical);
    }
}

} // namespace bpfilter::blob
