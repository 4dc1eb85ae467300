// SPDX-License-Identifier: GPL-2.0
//
// IR: what becomes of a packet that a rule matches, once it has been counted.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace bpfilter::ir {

// A rule's place in the blob, and today the index of its counter.
using RuleId = std::uint32_t;

struct Accept {
    bool operator==(const Accept &) const = default;
};
struct Drop {
    bool operator==(const Drop &) const = default;
};
struct Queue {
    bool operator==(const Queue &) const = default;
};
// Back behind the rule that jumped here; with an empty stack, to the hook's underflow.
struct Return {
    bool operator==(const Return &) const = default;
};
// Go on at `target`, a RETURN comes back behind this rule. With a full stack (Table::stack_depth
// places to come back to) the packet is dropped: counted by this rule, and none else.
struct Jump {
    RuleId target = 0;
    bool operator==(const Jump &) const = default;
};
// Go on at `target`; there is no coming back.
struct Goto {
    RuleId target = 0;
    bool operator==(const Goto &) const = default;
};
// Go on with the next rule: one without a target.
struct Continue {
    bool operator==(const Continue &) const = default;
};

using Verdict = std::variant<Accept, Drop, Queue, Return, Jump, Goto, Continue>;

// "accept", "jump 12", "continue"
std::string text(const Verdict &verdict);

} // namespace bpfilter::ir
