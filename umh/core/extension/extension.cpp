// SPDX-License-Identifier: GPL-2.0
#include "umh/core/extension/extension.h"

#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace bpfilter::extension {

namespace {

// What is not there is the kernel's to say something about: it may be in every rule.
template <typename T>
Result<const T *> find(std::span<const T *const> rows, ir::Family family, std::string_view name,
                       std::uint8_t revision)
{
    for (const T *row : rows) {
        if (row->serves(family) && row->name == name && row->revision == revision)
            return row;
    }
    return fail(ENOENT);
}

} // namespace

std::string describe(std::string_view kind, const Extension &extension)
{
    const std::string_view name = extension.name.empty() ? "standard" : extension.name;
    return extension.revision ? fmt::format("{} {} revision {}", kind, name, extension.revision)
                              : fmt::format("{} {}", kind, name);
}

Result<> check_use(std::string_view kind, const Extension &extension, std::size_t size,
                   const ExtensionUse &use)
{
    const auto refuse = [&](const std::string &why) {
        return fail(EINVAL, describe(kind, extension) + ": " + why);
    };
    if (use.payload_size != size)
        return refuse(fmt::format("invalid size {}, not {}", use.payload_size, size));
    if (!extension.table.empty() && extension.table != use.table)
        return refuse(fmt::format("only valid in the {} table, not in {}", extension.table,
                                  printable(use.table)));
    if (extension.hooks && (use.hooks & ~extension.hooks))
        return refuse(fmt::format("used from {}, but only valid from {}", ir::hook_names(use.hooks),
                                  ir::hook_names(extension.hooks)));
    if (extension.protocol && (extension.protocol != use.protocol || use.protocol_inverted))
        return refuse("only valid for protocol " + ir::protocol_name(extension.protocol));
    if (!extension.protocols.empty() &&
        (use.protocol_inverted ||
         std::ranges::find(extension.protocols, use.protocol) == extension.protocols.end()))
        return refuse("not valid for this protocol");
    return {};
}

Result<const MatchExtension *> find_match(ir::Family family, std::string_view name,
                                          std::uint8_t revision)
{
    return find(all_matches(), family, name, revision);
}

Result<const TargetExtension *> find_target(ir::Family family, std::string_view name,
                                            std::uint8_t revision)
{
    return find(all_targets(), family, name, revision);
}

Result<const MatchExtension *> find_match(ir::Family family, const ExtensionView &view)
{
    if (!view.terminated())
        return fail(EINVAL, "the name of a match is not terminated");
    return find_match(family, view.name(), view.revision());
}

Result<const TargetExtension *> find_target(ir::Family family, const ExtensionView &view)
{
    if (!view.terminated())
        return fail(EINVAL, "the name of a target is not terminated");
    return find_target(family, view.name(), view.revision());
}

} // namespace bpfilter::extension
