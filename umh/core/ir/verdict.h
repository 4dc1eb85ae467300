// SPDX-License-Identifier: GPL-2.0
//
// IR: what becomes of a packet that a rule matches, once it has been counted, or is done to it.
#pragma once

#include "umh/core/ir/field.h"

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

// The packet's field becomes (field & keep) ^ flip; go on with the next rule.
struct SetField {
    Field field{};
    std::uint32_t keep = 0;
    std::uint32_t flip = 0;
    bool operator==(const SetField &) const = default;
};
// A target of the kernel's own, which is instance n of the table: it has a verdict, or goes on with
// the next rule, and may have changed anything about the packet then.
struct KernelTarget {
    std::uint32_t instance = 0;
    bool operator==(const KernelTarget &) const = default;
};

using Verdict =
    std::variant<Accept, Drop, Queue, Return, Jump, Goto, Continue, SetField, KernelTarget>;

// May the next rule be asked because this has been done?
bool goes_on(const Verdict &verdict);

// "accept", "jump 12", "continue", "set mark & 0xffffff00 ^ 0x1", "kernel 3"
std::string text(const Verdict &verdict);

} // namespace bpfilter::ir
