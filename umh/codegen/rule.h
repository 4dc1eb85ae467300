// SPDX-License-Identifier: GPL-2.0
//
// codegen: the instructions for one rule: text, conditions, count, verdict.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/condition.h"
#include "umh/core/ir/table.h"

namespace bpfilter::codegen {

// Where a rule can leave to. Each is shared by the rules of one subprogram, and is written
// behind them only if some rule used it.
struct RuleExits {
    Label accept;
    Label drop;
    Label hotdrop;
    Label queue;
    Label back; // RETURN
    Label push; // go on at r1, come back to r2
    Label go;   // go on at r1
};

struct Counting {
    Label function;           // bf_count
    bool second_time = false; // xdp: only if key.counting is set
};

// Falls through, or jumps to `next`, to the next rule.
void emit_rule(Assembler &as, const ir::Rule &rule, const Surroundings &surroundings,
               const Counting &counting, Label next, const RuleExits &exits);

} // namespace bpfilter::codegen
