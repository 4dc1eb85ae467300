// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/compat.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace bpfilter::blob {

namespace {

constexpr std::size_t delta_size = 8; // struct compat_delta, of which the kernel has an array

// The first walk: the entries, and by how much each will be larger.
struct Survey {
    struct Growing {
        Entry entry;
        std::uint32_t delta;
    };
    std::vector<Growing> list;
    Deltas deltas;
    Uses uses;
};

Result<> check_count(const Request &request)
{
    if (request.num_entries == 0 || request.num_entries > INT_MAX / delta_size)
        return fail(EINVAL, fmt::format("{} entries of a 32-bit caller", request.num_entries));
    if (request.num_entries > max_table_size / delta_size)
        return fail(ENOMEM, fmt::format("too many entries: {}", request.num_entries));
    return {};
}

// ENOENT: an extension of the entry is not supported; EINVAL: has a name without end.
Result<> find_uses(const Entry &entry, const Layout &compat, Uses &uses)
{
    Result<> known;
    entry.each_match([&](const ExtensionView &view, std::size_t) {
        if (auto match = find_match(compat.family, view))
            uses.add(*match);
        else
            known = fail(std::move(match.error()));
        return known.has_value();
    });
    if (!known)
        return known;
    const auto target = find_target(compat.family, entry.target());
    if (!target)
        return fail(target.error());
    uses.add(*target);
    return {};
}

Result<Survey> survey(const Request &request, const Layout &compat)
{
    if (auto right = check_count(request); !right)
        return fail(std::move(right.error()));
    Survey seen;
    for (std::uint32_t offset = 0; offset < request.entries.size();) {
        const auto id = seen.list.size();
        auto entry = read_entry(request.entries, offset, id, compat);
        if (!entry)
            return fail(std::move(entry.error()));
        if (auto found = find_uses(*entry, compat, seen.uses); !found)
            return fail(found.error().code, fmt::format("entry {} at offset {}: {}", id, offset,
                                                        found.error().message));
        const auto delta = growth(*entry, id, seen.uses, compat);
        if (id >= request.num_entries)
            return fail(EINVAL, fmt::format("more than {} entries", request.num_entries));
        seen.list.push_back({*entry, delta});
        seen.deltas.add(offset, delta);
        offset += entry->size();
    }
    if (seen.list.size() != request.num_entries)
        return fail(EINVAL,
                    fmt::format("{} entries, not {}", seen.list.size(), request.num_entries));
    return seen;
}

// xt_compat_match_from_user. A payload of a wrong size stays wrong by as much.
void put_extension(MutableBytes native, const ExtensionView &view,
                   const extension::Extension &extension, const Layout &compat)
{
    store_bytes(native, 0, view.header());
    store(native, 0, static_cast<std::uint16_t>(native.size()));
    const auto payload = native.subspan(extension_header_size);
    if (extension.from_compat && view.payload().size() == compat.align(extension.compat_size))
        extension.from_compat(payload, view.payload());
    else
        store_bytes(payload, 0, view.payload());
}

// Writes entries one after the other, in their native layout.
class Writer {
public:
    Writer(NativeRequest &native, const Layout &compat, const Deltas &deltas, const Uses &uses)
        : native_(native), compat_(compat), deltas_(deltas), uses_(uses)
    {
    }

    void put(const Entry &entry, std::size_t id, std::uint32_t delta)
    {
        const auto out =
            MutableBytes(native_.bytes).subspan(position_, std::size_t{entry.size()} + delta);
        store_bytes(out, 0, slice(entry.bytes(), 0, compat_.native->comefrom));
        std::size_t at = compat_.native->entry_size;
        std::size_t target = at;
        each_extension(entry, id, uses_,
                       [&](const auto *extension, const ExtensionView &view, std::size_t) {
                           target = at;
                           at += put_one(out.subspan(at), view, *extension);
                       });
        if (entry.is_standard())
            put_verdict(out.subspan(target), entry);
        store(out, compat_.target_offset, static_cast<std::uint16_t>(target));
        store(out, compat_.next_offset, static_cast<std::uint16_t>(out.size()));
        move_hooks(native_.request.hook_entry, delta);
        move_hooks(native_.request.underflow, delta);
        position_ += static_cast<std::uint32_t>(out.size());
    }

private:
    std::size_t put_one(MutableBytes out, const ExtensionView &view,
                        const extension::Extension &extension) const
    {
        const auto size = view.size() + extra(extension, compat_);
        put_extension(out.first(size), view, extension, compat_);
        return size;
    }

    // It overflows as the kernel's does, and is no verdict then.
    void put_verdict(MutableBytes target, const Entry &entry) const
    {
        const auto offset = static_cast<std::uint32_t>(entry.verdict());
        const auto moved = entry.verdict() > 0 ? offset + deltas_.before(offset) : offset;
        store(target, extension_header_size, moved);
    }

    // Offsets behind this entry are so much larger now; they were translated as far as to it.
    void move_hooks(HookOffsets &offsets, std::uint32_t delta) const
    {
        for (auto &offset : offsets)
            offset += position_ < offset ? delta : 0;
    }

    NativeRequest &native_;
    const Layout &compat_;
    const Deltas &deltas_;
    const Uses &uses_;
    std::uint32_t position_ = 0;
};

// What the kernel finds out by losing its way: an entry must end where its target does, and
// its size must be a number of 16 bits.
const char *untranslatable(const Entry &entry, std::uint32_t delta, bool last)
{
    if (!last && !entry.is_standard() &&
        entry.target_offset() + entry.target().size() != entry.size())
        return "room behind the target";
    if (entry.size() + delta > UINT16_MAX)
        return "too large";
    return nullptr;
}

} // namespace

void Deltas::add(std::uint32_t offset, std::uint32_t delta)
{
    sums_.push_back(total() + delta);
    offsets_.push_back(offset);
}

std::uint32_t Deltas::before(std::uint32_t offset) const
{
    const auto count = std::ranges::lower_bound(offsets_, offset) - offsets_.begin();
    return count == 0 ? 0 : sums_[static_cast<std::size_t>(count - 1)];
}

std::size_t extra(const extension::Extension &extension, const Layout &compat)
{
    const auto size = extension.compat_size ? extension.compat_size : extension.size;
    return compat.native->align(extension.size) - compat.align(size);
}

std::uint32_t growth(const Entry &entry, std::size_t id, const Uses &uses, const Layout &compat)
{
    std::size_t sum = compat.native->entry_size - compat.entry_size;
    each_extension(entry, id, uses,
                   [&](const extension::Extension *extension, const ExtensionView &, std::size_t) {
                       sum += extra(*extension, compat);
                   });
    return static_cast<std::uint32_t>(sum);
}

Result<NativeRequest> make_native(const Request &request, const Layout &compat)
{
    auto seen = survey(request, compat);
    if (!seen)
        return fail(seen.error());
    const auto size = request.entries.size() + seen->deltas.total();
    if (size + compat.table_overhead >= max_table_size)
        return fail(ENOMEM, fmt::format("table too large: {} bytes", size));

    NativeRequest native{.bytes = std::vector<std::byte>(size), .request = request, .uses = {}};
    Writer writer(native, compat, seen->deltas, seen->uses);
    for (std::size_t id = 0; id < seen->list.size(); ++id) {
        const auto &[entry, delta] = seen->list[id];
        if (const char *why = untranslatable(entry, delta, id + 1 == seen->list.size()))
            return fail(EINVAL, fmt::format("entry {}: {}", id, why));
        writer.put(entry, id, delta);
    }
    native.request.entries = native.bytes;
    native.uses = std::move(seen->uses);
    return native;
}

} // namespace bpfilter::blob
