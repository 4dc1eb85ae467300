// SPDX-License-Identifier: GPL-2.0
//
// records: from a rule's conditions to a record and what stands behind it.
#pragma once

#include "umh/core/ir/conditions.h"
#include "umh/core/records/expression.h"

namespace bpfilter::records {

// `word`: of what the rule does.
bpfilter_record make_record(Writer &writer, const ir::Conditions &conditions, Way way, Word word);

// The most bytes that it writes behind the record, whichever the way.
std::size_t size_behind(const ir::Conditions &conditions);

} // namespace bpfilter::records
