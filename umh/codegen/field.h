// SPDX-License-Identifier: GPL-2.0
//
// codegen: where the fields of the key (umh/core/ir/fields.def) are in what the prologue leaves in
// memory, and how they become numbers.
#pragma once

#include "umh/codegen/insn.h"
#include "umh/core/ir/field.h"
#include "umh/core/ir/table.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bpfilter::codegen {

// Some bytes of struct Key: the field is (number + plus) >> shift & mask of their number.
struct Place {
    std::size_t offset = 0;
    std::uint32_t bytes = 4;
    bool network = false; // in network byte order
    std::int32_t plus = 0;
    std::uint32_t shift = 0;
    std::uint32_t mask = 0xffffffff;

    // A word of the packet and nothing else: it can be compared as it lies there.
    [[nodiscard]] bool plain() const { return plus == 0 && shift == 0 && mask == 0xffffffff; }
};

// Not of states, which are asked with Require, and not of fields that are made of others.
Place place_of(ir::Field field, ir::Family family);

// Where a state is (HeaderState), but that of IPv6's transport, which is not one.
std::size_t state_offset(ir::Field state);

// r1 = the field.
std::vector<bpf_insn> load_field(const Place &place);

} // namespace bpfilter::codegen
