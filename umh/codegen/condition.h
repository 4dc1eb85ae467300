// SPDX-License-Identifier: GPL-2.0
//
// codegen: the instructions for the conditions of a rule. They read the key at r7 and use r0 to r5.
//
// What matches falls through; what does not jumps to `next`. With most rules not matching
// most packets, and the rest of the rule behind the fall-through, the verifier is done with
// a rule's body before it goes on with `next`, and few jumps wait for it.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/core/ir/conditions.h"
#include "umh/core/ir/table.h"

namespace bpfilter::codegen {

// What is the same for all rules of a program.
struct Surroundings {
    ir::Family family = ir::Family::ipv4;
    Label find_address{}; // bf_find_address
};

struct ConditionExits {
    Label next;    // no match
    Label hotdrop; // the packet is dropped, and the rule not counted
};

void emit_conditions(Assembler &as, const ir::Conditions &conditions,
                     const Surroundings &surroundings, const ConditionExits &exits);

} // namespace bpfilter::codegen
