// SPDX-License-Identifier: GPL-2.0
//
// IR: what a rule asks of a packet: a closed set of conditions over the key (field.h), to which
// every extension is lowered. A backend knows these, and no extension.
//
// A RULE holds its conditions in the order in which ip_tables asks them: the IP part, then
// match after match. They are asked one by one; the first that does not hold ends the rule.
// Three outcomes exist: the packet matches (all hold), it does not, or it is dropped on the
// spot ("hotdrop": Require and Kernel do that, and a rule that was dropped in is not counted).
//
// So the ORDER MATTERS only where a Require or a Kernel is: one that is before a condition that
// does not hold drops the packet, or changes what the kernel knows; one behind it is not asked.
// Conditions between two of these may be asked in any order; none may go from one side to the
// other, unless it is known that the header which a Require asks for is not cut off. A Never
// behind one of them is no Never for the rule.
//
// Numbers are modulo 2^32. A kind that is added here must be added wherever conditions are
// visited: visitors name each kind, and none has a catch-all.
#pragma once

#include "umh/core/ir/field.h"
#include "umh/core/ir/part.h"

#include <array>
#include <cstdint>
#include <variant>
#include <vector>

namespace bpfilter::ir {

// field - low <= span: the numbers from low on, span + 1 of them, around the end if need be.
// The inverse of a range is one: low' = low + span + 1, span' = 2^32 - span - 2.
struct Range {
    Field field{};
    std::uint32_t low = 0;
    std::uint32_t span = 0;
    bool operator==(const Range &) const = default;
};

// (field & mask) - low <= span: what is no range of the field, such as flags and holes.
struct Masked {
    Field field{};
    std::uint32_t mask = 0;
    std::uint32_t low = 0;
    std::uint32_t span = 0;
    bool operator==(const Masked &) const = default;
};

// What may stand in a group: a group drops nothing.
using Test = std::variant<Range, Masked>;

// Not all of these hold. Of none: never.
struct Not {
    std::vector<Test> all;
    bool operator==(const Not &) const = default;
};

// One of these groups holds as a whole. Of none: never; of an empty group: always.
struct AnyOf {
    std::vector<std::vector<Test>> groups;
    bool operator==(const AnyOf &) const = default;
};

// The state that this field says: present holds; absent does not; cut_off drops the packet.
struct Require {
    Field state{};
    bool operator==(const Require &) const = default;
};

// The list has these items in this order, others before, between and behind. Items: words as
// in the key.
struct Listed {
    using Item = std::array<std::uint32_t, 4>;
    List list{};
    std::vector<Item> items;
    bool operator==(const Listed &) const = default;
};

// What a match of the kernel's own says, which is instance n of the table. Each time it is asked it
// may answer otherwise, or drop the packet. Or `transport`, which is no instance: that the kernel
// look for the transport header, as it does for a rule that asks for a protocol; what it finds of
// the fragment is what instances in rules that do not are told. As Require transport otherwise.
struct Kernel {
    static constexpr std::uint32_t transport = 0xffffffff; // BPFILTER_CALL_TRANSPORT

    std::uint32_t instance = 0;
    bool operator==(const Kernel &) const = default;
};

// Does not hold.
struct Never {
    bool operator==(const Never &) const = default;
};

using Condition = std::variant<Range, Masked, Not, AnyOf, Require, Listed, Kernel, Never>;

} // namespace bpfilter::ir
