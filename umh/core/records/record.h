// SPDX-License-Identifier: GPL-2.0
//
// records: from a rule's conditions to a record and what stands behind it.
#pragma once

#include "umh/core/ir/conditions.h"
#include "umh/core/records/expression.h"

namespace bpfilter::records {

// `word`: of what the rule does. On the usual way.
bpfilter_record make_record(Writer &writer, const ir::Conditions &conditions, Word word);

// Of both. What stands behind the last header that is asked for stands there once.
struct RecordOfWays {
    bpfilter_record usual;
    bpfilter_record exact;
};
RecordOfWays make_records(Writer &writer, const ir::Conditions &conditions, Word word);

// The most bytes that one of them has behind it.
std::size_t size_behind(const ir::Conditions &conditions);

} // namespace bpfilter::records
