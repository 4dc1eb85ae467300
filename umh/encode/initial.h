// SPDX-License-Identifier: GPL-2.0
//
// First contents of a table: what it holds before anyone has written to it.
#pragma once

#include "umh/decode/layout.h"
#include "umh/decode/tables.h"

#include <cstddef>
#include <vector>

namespace bpfilter::encode {

// As the payload of a SET_REPLACE, to be decoded like any other: per hook, ascending, one
// rule that accepts everything (entry and policy at once), then the target ERROR that ends
// a table.
std::vector<std::byte> initial_replace(const decode::TableProperties &properties,
                                       const decode::Layout &layout);

} // namespace bpfilter::encode
