// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/part.h"

#include <array>
#include <ranges>
#include <string_view>

namespace bpfilter::ir {

namespace {

struct Row {
    std::string_view name;
    Part part;
    Part on;
};

constexpr auto rows = std::to_array<Row>({
#define BPFILTER_PART(name, on) {#name, Part::name, Part::on},
#include "umh/core/ir/parts.def"
#undef BPFILTER_PART
});

} // namespace

Parts complete(Parts parts)
{
    // A part stands on one that comes before it.
    for (const Row &row : rows | std::views::reverse) {
        if (parts.has(row.part))
            parts |= row.on;
    }
    return parts;
}

std::string text(Parts parts)
{
    std::string list;
    for (const Row &row : rows) {
        if (parts.has(row.part))
            list.append(list.empty() ? "" : " ").append(row.name);
    }
    return list;
}

} // namespace bpfilter::ir
