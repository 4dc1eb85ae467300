// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/field.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bpfilter::ir {

namespace {

constexpr auto fields = std::to_array<FieldRow>({
#define BPFILTER_FIELD(name, part, place, bits) {#name, Part::part, place, bits},
#include "umh/core/ir/fields.def"
#undef BPFILTER_FIELD
});

constexpr bool places_differ()
{
    std::array<bool, key_fields> taken{};
    return std::ranges::all_of(fields, [&taken](const FieldRow &row) {
        return !std::exchange(taken.at(row.place), true);
    });
}

static_assert(fields.size() == field_count);
static_assert(places_differ());

constexpr std::array<ListRow, 1> lists{{
    {.name = "route",
     .part = Part::route,
     .count = Field::routing_addresses,
     .place = key_fields,
     .item = 4,
     .most = 127},
}};

} // namespace

const FieldRow &row(Field field)
{
    return fields.at(static_cast<std::size_t>(field));
}

const ListRow &row(List list)
{
    return lists.at(static_cast<std::size_t>(list));
}

} // namespace bpfilter::ir
