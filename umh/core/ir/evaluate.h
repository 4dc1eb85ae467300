// SPDX-License-Identifier: GPL-2.0
//
// The naive interpreter: what a table does with a packet, as plainly as it can be said. What
// every other form of a table has to agree with.
#pragma once

#include "umh/core/ir/key.h"
#include "umh/core/ir/table.h"

#include <cstdint>
#include <vector>

namespace bpfilter::ir {

enum class Answer : std::uint8_t { no, yes, hotdrop };

// Condition by condition, in order.
Answer ask(const Conditions &conditions, const Key &key);

enum class Decision : std::uint8_t { accept, drop, queue };

struct Outcome {
    Decision decision = Decision::drop;
    std::vector<RuleId> counted; // in order; once for each time
    bool operator==(const Outcome &) const = default;
};

// The table must have the hook. Comes to an end, as decode lets no loop pass.
Outcome evaluate(const Table &table, Hook hook, const Key &key);

} // namespace bpfilter::ir
