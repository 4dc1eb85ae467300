// SPDX-License-Identifier: GPL-2.0
//
// From what a test asks (match.h) to conditions, by way of the bytes that iptables would send:
// what is lowered is the product's.
#pragma once

#include "tests/unit/support/match.h"
#include "umh/core/ir/conditions.h"
#include "umh/core/ir/table.h"

#include <vector>

namespace bpfilter::test {

// Throws std::invalid_argument for what the extension refuses, or its structure cannot say.
ir::Conditions lower(const std::vector<Match> &matches, ir::Family family);

} // namespace bpfilter::test
