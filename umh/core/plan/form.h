// SPDX-License-Identifier: GPL-2.0
//
// plan: what a table becomes.
#pragma once

#include "umh/core/ir/table.h"

#include <cstddef>
#include <cstdint>

namespace bpfilter::plan {

enum class Form : std::uint8_t {
    code, // programs of its own, made and verified for it
    data, // records, walked by programs that are there already
};

// As many rules a hook may have on its way, in chains as well, as code. Packets have it cheaper
// with code whatever their number (at 64 rules 690 instructions, INPUT and OUTPUT together, records
// 1,262, ip_tables 1,639); but with one rule more all others are verified again: at 64 that costs
// 1.6 times what it does with records and twice what it does ip_tables, at 1,000 four times and
// nine times (scripts/bench hooks).
inline constexpr std::size_t code_rules = 64;

// As much they may ask for together: of what is longer a jump may be too long for a program.
inline constexpr std::size_t code_words = 8192;

// Of all of such a table: the kernel looks at each counter for a packet that is traced.
inline constexpr std::size_t code_table_rules = 2048;

Form form_of(const ir::Table &table);

} // namespace bpfilter::plan
