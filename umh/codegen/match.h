// SPDX-License-Identifier: GPL-2.0
//
// codegen: the instructions for one match. They read the key at r7 and use r0 to r2.
//
// What matches falls through; what does not jumps to `next`. With most rules not matching
// most packets, and the rest of the rule behind the fall-through, the verifier is done with
// a rule's body before it goes on with `next`, and few jumps wait for it.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/ir/match.h"

namespace bpfilter::codegen {

struct MatchExits {
    Label next;    // no match
    Label hotdrop; // the packet is dropped, and the rule not counted
};

void emit_match(Assembler &as, const ir::Match &match, const MatchExits &exits);

// What matches ask for beyond the IP header.
struct Needs {
    bool l4 = false;
    bool options = false;

    void add(const ir::Match &match);
};

} // namespace bpfilter::codegen
