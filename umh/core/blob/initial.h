// SPDX-License-Identifier: GPL-2.0
//
// First contents of a table: what it holds before anyone has written to it.
#pragma once

#include "umh/core/blob/layout.h"
#include "umh/core/blob/tables.h"

#include <cstddef>
#include <vector>

namespace bpfilter::blob {

// As the payload of a SET_REPLACE, to be decoded like any other: per hook, ascending, one
// rule that accepts everything (entry and policy at once), then the target ERROR that ends
// a table.
std::vector<std::byte> initial_replace(const TableProperties &properties, const Layout &layout);

} // namespace bpfilter::blob
