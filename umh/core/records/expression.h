// SPDX-License-Identifier: GPL-2.0
//
// records: what is asked behind a record, as acts that lead from one to the next (record.h).
#pragma once

#include "umh/core/ir/condition.h"
#include "umh/core/records/writer.h"

#include <cstdint>

namespace bpfilter::records {

// A word of a record: an operation and its argument.
using Word = std::uint32_t;

// Can a header that a rule asks for be cut off? See struct bpfilter_root.
enum class Way : std::uint8_t { usual, exact };

// On to `yes` if it holds, else to the next record, or the packet is dropped.
Word write_condition(Writer &writer, const ir::Condition &condition, Way way, Word yes);

// The most bytes that this writes.
std::size_t size_of(const ir::Condition &condition);

// The place of a field in the key, in bytes.
std::uint32_t place_of(ir::Field field);

} // namespace bpfilter::records
