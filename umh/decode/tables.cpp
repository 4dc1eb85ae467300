// SPDX-License-Identifier: GPL-2.0
#include "umh/decode/tables.h"

#include "umh/decode/text.h"

#include <cerrno>

namespace bpfilter::decode {

namespace {

constexpr std::uint32_t bit(ir::Hook hook)
{
    return 1U << static_cast<unsigned>(hook);
}

constexpr auto tables = std::to_array<TableProperties>({
    {"filter",
     ir::Family::ipv4,
     bit(ir::Hook::local_in) | bit(ir::Hook::forward) | bit(ir::Hook::local_out),
     {}}, // NF_IP_PRI_FILTER is 0
});

} // namespace

Result<const TableProperties *> find_table(ir::Family family, std::string_view name)
{
    for (const auto &table : tables) {
        if (table.family == family && table.name == name)
            return &table;
    }
    return fail(ENOENT, "table " + printable(name) + " is not supported");
}

} // namespace bpfilter::decode
