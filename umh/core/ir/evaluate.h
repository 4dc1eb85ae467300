// SPDX-License-Identifier: GPL-2.0
//
// The naive interpreter: what a table does with a packet, as plainly as it can be said. What
// every other form of a table has to agree with.
#pragma once

#include "umh/core/ir/key.h"
#include "umh/core/ir/table.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace bpfilter::ir {

enum class Answer : std::uint8_t { no, yes, hotdrop };
enum class Decision : std::uint8_t { accept, drop, queue };

// What the kernel's own matches and targets do, for tables that have some.
class Instances {
public:
    virtual ~Instances() = default;
    virtual Answer match(std::uint32_t instance) = 0;
    // Nothing: go on with the next rule. The packet may be another one then, and so its key.
    virtual std::optional<Decision> target(std::uint32_t instance, Key &key) = 0;
};

// Condition by condition, in order.
Answer ask(const Conditions &conditions, const Key &key, Instances *instances = nullptr);

// A rule that counted a packet, which was so long then.
struct Counted {
    RuleId rule = 0;
    std::uint32_t bytes = 0;
    bool operator==(const Counted &) const = default;
};

struct Outcome {
    Decision decision = Decision::drop;
    std::vector<Counted> counted; // in order; once for each time
    bool operator==(const Outcome &) const = default;
};

// The table must have the hook. Comes to an end, as decode lets no loop pass.
Outcome evaluate(const Table &table, Hook hook, const Key &key, Instances *instances = nullptr);

} // namespace bpfilter::ir
