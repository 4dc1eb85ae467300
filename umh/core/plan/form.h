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
// with code whatever their number (at 64 rules 760 instructions, INPUT and OUTPUT together, records
// 1,480); but one rule more has to be verified with all others: at 64 that is once and a half what
// it costs with records and twice what it costs ip_tables, at 1,000 three times and nine times.
inline constexpr std::size_t code_rules = 64;

Form form_of(const ir::Table &table);

} // namespace bpfilter::plan
