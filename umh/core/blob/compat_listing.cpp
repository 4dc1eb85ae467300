// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/compat_listing.h"

#include "umh/core/ir/counters.h"

namespace bpfilter::blob {

namespace {

Entry entry_of(const DecodedTable &decoded, Bytes entries, std::size_t id)
{
    const auto begin = decoded.offsets[id];
    const auto end = id + 1 < decoded.offsets.size() ? decoded.offsets[id + 1] : entries.size();
    return Entry(slice(entries, begin, end - begin), *decoded.layout);
}

// xt_compat_match_to_user: its size in `out`.
std::size_t put_extension(MutableBytes out, const ExtensionView &view,
                          const extension::Extension &extension, const Layout &compat)
{
    const auto size = view.size() - extra(extension, compat);
    const auto payload =
        out.subspan(extension::extension_header_size, size - extension::extension_header_size);
    store_bytes(out, 0, view.header());
    store(out, 0, static_cast<std::uint16_t>(size));
    if (extension.to_compat)
        extension.to_compat(payload, view.payload());
    else
        store_bytes(payload, 0, view.payload().first(payload.size()));
    return size;
}

void put_verdict(MutableBytes target, const Entry &entry, const Deltas &deltas)
{
    if (!entry.is_standard() || entry.verdict() <= 0)
        return;
    const auto offset = static_cast<std::uint32_t>(entry.verdict());
    store(target, extension_header_size, offset - deltas.before(offset));
}

// The fixed part is the same up to the counters, wherever these begin.
void put_fixed(MutableBytes out, const Entry &entry, const Layout &compat)
{
    const Layout &native = *compat.native;
    store_bytes(out, 0, slice(entry.bytes(), 0, native.comefrom + sizeof(std::uint32_t)));
    store(out, compat.counters, load<ir::Counters>(entry.bytes(), native.counters));
}

void put_entry(MutableBytes out, const Entry &entry, std::size_t id, const Uses &uses,
               const Layout &compat, const Deltas &deltas)
{
    put_fixed(out, entry, compat);
    std::size_t at = compat.entry_size;
    std::size_t target = at;
    each_extension(entry, id, uses,
                   [&](const auto *extension, const ExtensionView &view, std::size_t) {
                       target = at;
                       at += put_extension(out.subspan(at), view, *extension, compat);
                   });
    put_verdict(out.subspan(target), entry, deltas);
    store(out, compat.target_offset, static_cast<std::uint16_t>(target));
    store(out, compat.next_offset, static_cast<std::uint16_t>(out.size()));
}

} // namespace

Deltas differences(const DecodedTable &decoded, const Layout &layout)
{
    Deltas deltas;
    if (!layout.native)
        return deltas;
    for (std::size_t id = 0; id < decoded.offsets.size(); ++id)
        deltas.add(decoded.offsets[id],
                   growth(entry_of(decoded, decoded.entries, id), id, decoded.uses, layout));
    return deltas;
}

std::vector<std::byte> narrow_entries(const DecodedTable &decoded, Bytes native,
                                      const Layout &compat)
{
    const auto deltas = differences(decoded, compat);
    std::vector<std::byte> bytes(native.size() - deltas.total());
    auto rest = MutableBytes(bytes);
    for (std::size_t id = 0; id < decoded.offsets.size(); ++id) {
        const Entry entry = entry_of(decoded, native, id);
        const auto size = entry.size() - growth(entry, id, decoded.uses, compat);
        put_entry(rest.first(size), entry, id, decoded.uses, compat, deltas);
        rest = rest.subspan(size);
    }
    return bytes;
}

} // namespace bpfilter::blob
