// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/entry.h"

#include "umh/core/extension/standard.h"
#include "umh/util/deadline.h"

#include <fmt/format.h>

#include <cerrno>

namespace bpfilter::blob {

namespace {

constexpr std::size_t standard_size = extension_header_size + sizeof(std::int32_t);

std::size_t u16(Bytes bytes, std::size_t offset)
{
    return load<std::uint16_t>(bytes, offset);
}

// xt_check_entry_match: matches fill the room between the entry and its target exactly.
const char *wrong_matches(Bytes entry, const Layout &layout, std::size_t position,
                          std::size_t target)
{
    for (std::size_t offset = layout.entry_size; offset < target;) {
        if ((position + offset) % layout.alignment != 0)
            return "a match is not aligned";
        if (target - offset < extension_header_size)
            return "no room for a match before the target";
        const auto size = u16(entry, offset);
        if (size < extension_header_size)
            return "a match is smaller than its header";
        if (size > target - offset)
            return "a match overlaps the target";
        offset += size;
    }
    return nullptr;
}

// xt_check_entry_offsets: the target, then the matches.
const char *wrong_parts(Bytes entry, const Layout &layout, std::size_t position)
{
    const auto target = u16(entry, layout.target_offset);
    if (target < layout.entry_size)
        return "the target overlaps the entry";
    if (target + extension_header_size > entry.size())
        return "no room for a target";
    const auto target_size = u16(entry, target);
    if (target_size < extension_header_size)
        return "the target is smaller than its header";
    if (target + target_size > entry.size())
        return "the target overlaps the next entry";

    const ExtensionView view(entry.subspan(target, target_size));
    if (view.name().empty()) {
        // The number may lie behind a target that is too small: that is for check_use.
        if (layout.align(target + layout.align(standard_size)) != entry.size())
            return "a standard target of the wrong size";
        if (!extension::verdict_allowed(load<std::int32_t>(entry, target + extension_header_size)))
            return "no such verdict";
    } else if (view.name() == "ERROR") {
        const auto size = layout.align(extension_header_size + error_name_size);
        if (target_size != size)
            return "a target ERROR of the wrong size";
        if (load_string(view.payload().first(error_name_size)).size() == error_name_size)
            return "the name of a chain is not terminated";
    }
    return wrong_matches(entry, layout, position, target);
}

// What is wrong with the entry at `position`, or nullptr.
const char *wrong_entry(Bytes entries, std::size_t position, const Layout &layout)
{
    if (position % layout.alignment != 0)
        return "not aligned";
    if (entries.size() - position <= layout.entry_size)
        return "beyond the end";
    const Bytes rest = entries.subspan(position);
    const auto size = u16(rest, layout.next_offset);
    if (size > rest.size())
        return "its next entry is beyond the end";
    if (size < layout.entry_size + extension_header_size)
        return "its next entry is too close";
    if (load<std::uint8_t>(rest, layout.flags) & ~layout.flags_mask)
        return "unknown flags";
    if (load<std::uint8_t>(rest, layout.inversion) & ~layout.inversion_mask)
        return "unknown inversion flags";
    return wrong_parts(rest.first(size), layout, position);
}

auto refuse(std::size_t id, std::size_t position, const char *why)
{
    return fail(EINVAL, fmt::format("entry {} at offset {}: {}", id, position, why));
}

bool is_policy(const Entry &entry)
{
    return entry.unconditional() && entry.is_standard() &&
           (entry.verdict() == extension::verdict_drop ||
            entry.verdict() == extension::verdict_accept);
}

const char *wrong_underflow(const Entry &entry, std::uint32_t offset, const Request &request)
{
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (request.has(hook) && request.underflow[hook] == offset && !is_policy(entry))
            return "an underflow that is not a policy";
    }
    return nullptr;
}

} // namespace

std::uint16_t Entry::protocol() const
{
    return load<std::uint16_t>(bytes_, layout_->protocol);
}

bool Entry::protocol_inverted() const
{
    return load<std::uint8_t>(bytes_, layout_->inversion) & layout_->inverted_protocol;
}

bool Entry::protocol_unasked() const
{
    const auto flags = load<std::uint8_t>(bytes_, layout_->flags);
    return layout_->lax_protocol && protocol() != 0 && !(flags & layout_->protocol_flag);
}

bool Entry::go_to() const
{
    return load<std::uint8_t>(bytes_, layout_->flags) & layout_->goto_flag;
}

std::size_t Entry::target_offset() const
{
    return u16(bytes_, layout_->target_offset);
}

ExtensionView Entry::extension_at(std::size_t offset) const
{
    return ExtensionView(slice(bytes_, offset, u16(bytes_, offset)));
}

ExtensionView Entry::target() const
{
    return extension_at(target_offset());
}

bool Entry::is_error() const
{
    return target().name() == "ERROR";
}

std::int32_t Entry::verdict() const
{
    return load<std::int32_t>(bytes_, target_offset() + extension_header_size);
}

bool Entry::unconditional() const
{
    return target_offset() == layout_->entry_size && all_zero(ip());
}

Result<Entry> read_entry(Bytes entries, std::size_t position, std::size_t id, const Layout &layout)
{
    if (const char *why = wrong_entry(entries, position, layout))
        return refuse(id, position, why);
    const auto size = u16(entries, position + layout.next_offset);
    return Entry(entries.subspan(position, size), layout);
}

Result<Entries> walk_entries(const Request &request, const Layout &layout)
{
    // The kernel has an array of their offsets.
    if (request.num_entries > max_table_size / sizeof(std::uint32_t))
        return fail(ENOMEM, fmt::format("too many entries: {}", request.num_entries));
    Entries entries;
    // As many as there can be: the number that is told may be anything.
    const auto count = std::min<std::size_t>(
        request.num_entries, request.entries.size() / (layout.entry_size + extension_header_size));
    entries.list.reserve(count);
    entries.offsets.reserve(count);
    for (std::uint32_t offset = 0; offset < request.entries.size();) {
        Deadline::look();
        const auto id = entries.list.size();
        const auto entry = read_entry(request.entries, offset, id, layout);
        if (!entry)
            return fail(entry.error());
        if (const char *why = wrong_underflow(*entry, offset, request))
            return refuse(id, offset, why);
        entries.list.push_back(*entry);
        entries.offsets.push_back(offset);
        entries.errors += entry->is_error();
        offset += entry->size();
    }
    if (entries.list.size() != request.num_entries)
        return fail(EINVAL,
                    fmt::format("{} entries, not {}", entries.list.size(), request.num_entries));
    return entries;
}

} // namespace bpfilter::blob
