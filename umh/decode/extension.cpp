// SPDX-License-Identifier: GPL-2.0
#include "umh/decode/extension.h"

#include "umh/decode/text.h"
#include "umh/ir/names.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>

namespace bpfilter::decode {

namespace {

// Newest first, as the kernel lists them.
const std::array matches{&udplite_match, &udp_match, &tcp_match, &icmp_match, &icmp6_match};
const std::array targets{&error_target, &standard_target};

template <typename T>
Result<const T *> find(std::span<const T *const> rows, std::string_view kind, ir::Family family,
                       std::string_view name, std::uint8_t revision)
{
    for (const T *row : rows) {
        if (row->serves(family) && row->name == name && row->revision == revision)
            return row;
    }
    return fail(ENOENT,
                fmt::format("{} {} revision {} is not supported", kind, printable(name), revision));
}

template <typename T>
Result<> revision_of(std::span<const T *const> rows, ir::Family family, std::string_view name,
                     std::uint8_t revision)
{
    bool known = false;
    for (const T *row : rows) {
        if (!row->serves(family) || row->name != name)
            continue;
        if (row->revision == revision)
            return {};
        known = true;
    }
    // iptables probes revisions as a matter of course: nothing worth logging.
    return fail(known ? EPROTONOSUPPORT : ENOENT);
}

template <typename T> std::string list(std::span<const T *const> rows, ir::Family family)
{
    std::string text;
    for (const T *row : rows) {
        if (row->serves(family) && !row->name.empty())
            text.append(row->name).append("\n");
    }
    return text;
}

} // namespace

Result<> check_use(std::string_view kind, const Extension &extension, const Layout &layout,
                   const ExtensionUse &use)
{
    const auto refuse = [&](const std::string &why) {
        return fail(
            EINVAL,
            fmt::format("{} {}{}: {}", kind, extension.name.empty() ? "standard" : extension.name,
                        extension.revision ? fmt::format(" revision {}", extension.revision) : "",
                        why));
    };
    const std::size_t size = layout.align(extension.size);
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
    return {};
}

Result<const MatchExtension *> find_match(ir::Family family, std::string_view name,
                                          std::uint8_t revision)
{
    return find<MatchExtension>(matches, "match", family, name, revision);
}

Result<const TargetExtension *> find_target(ir::Family family, std::string_view name,
                                            std::uint8_t revision)
{
    return find<TargetExtension>(targets, "target", family, name, revision);
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

Result<> find_revision(ir::Family family, bool target, std::string_view name, std::uint8_t revision)
{
    if (target)
        return revision_of<TargetExtension>(targets, family, name, revision);
    return revision_of<MatchExtension>(matches, family, name, revision);
}

std::string list_extensions(ir::Family family, bool of_targets)
{
    if (of_targets)
        return list<TargetExtension>(targets, family);
    return list<MatchExtension>(matches, family);
}

} // namespace bpfilter::decode
