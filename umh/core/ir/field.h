// SPDX-License-Identifier: GPL-2.0
//
// IR: the fields of the key. What each of them is stands in fields.def.
#pragma once

#include "umh/core/ir/part.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bpfilter::ir {

enum class Field : std::uint8_t {
#define BPFILTER_FIELD(name, part, place, bits) name,
#include "umh/core/ir/fields.def"
#undef BPFILTER_FIELD
};

// Of each field's word in the key.
inline constexpr auto field_places = std::to_array<std::uint8_t>({
#define BPFILTER_FIELD(name, part, place, bits) place,
#include "umh/core/ir/fields.def"
#undef BPFILTER_FIELD
});
inline constexpr std::size_t field_count = field_places.size();

struct FieldRow {
    std::string_view name;
    Part part{};
    std::uint8_t place = 0; // of its word in the key
    std::uint8_t bits = 0;
};

const FieldRow &row(Field field);

// What a state field says of a header, and what Require makes of it.
enum class State : std::uint32_t {
    present = 0,
    absent = 1,  // there is none, or it is in another fragment: the rule does not match
    cut_off = 2, // broken, or an overlapping TCP fragment: the packet is dropped
};

// The n-th word behind a field's: of an address, a name, a list.
//     at(Field::in_0, 2) == Field::in_2
// Fields of one series stand in order in fields.def, but for the first of an address.
constexpr Field at(Field first, std::size_t n)
{
    if (n != 0 && first == Field::source)
        return static_cast<Field>(static_cast<std::size_t>(Field::source_1) + n - 1);
    if (n != 0 && first == Field::destination)
        return static_cast<Field>(static_cast<std::size_t>(Field::destination_1) + n - 1);
    return static_cast<Field>(static_cast<std::size_t>(first) + n);
}

static_assert(at(Field::in_0, 3) == Field::in_3 && at(Field::out_0, 3) == Field::out_3);
static_assert(at(Field::source, 3) == Field::source_3);
static_assert(at(Field::destination, 3) == Field::destination_3);
static_assert(at(Field::hop_option_0, 15) == Field::hop_option_15);
static_assert(at(Field::dst_option_0, 15) == Field::dst_option_15);
static_assert(at(Field::tcp_option_kinds_0, 7) == Field::tcp_option_kinds_7);

// What a packet has any number of. Behind the fields in the key, of so many words each.
enum class List : std::uint8_t {
    route, // addresses of the routing header: routing_addresses of them, 4 words each
};

struct ListRow {
    std::string_view name;
    Part part{};
    Field count{};           // the field that says how many there are
    std::uint32_t place = 0; // of its first word
    std::uint32_t item = 0;  // words
    std::uint32_t most = 0;  // items
};

const ListRow &row(List list);

inline constexpr std::size_t key_fields = 104; // words, with unused ones
inline constexpr std::size_t key_near = 64;    // words that a record reaches
inline constexpr std::size_t key_words = key_fields + 127 * 4;

} // namespace bpfilter::ir
