// SPDX-License-Identifier: GPL-2.0
//
// codegen: a hook with user chains, or with more rules than one subprogram can hold.
//
// A block is a static subprogram of consecutive rules:
//
//     int bf_rules_A(key)    A: its first rule. Goes on at rule key.pc, which it contains
//         1: key.verdict is the result
//         0: go on at rule key.pc, wherever that is
//
// and the dispatcher, called back by bpf_loop(), finds the block of key.pc by binary
// search. What a packet is doing is kept in the key and nowhere else: 6.1's verifier takes
// the caller's stack at bpf_loop() for constant inside of the callback.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/rule.h"
#include "umh/core/ir/flow.h"
#include "umh/core/ir/table.h"

namespace bpfilter::codegen {

// Sets the key up and runs the loop; r0 = key.verdict. Nothing decided: DROP.
void emit_loop(Assembler &as, ir::RuleId entry, Label dispatcher);

// What the code of the rules uses.
struct RuleCode {
    Surroundings surroundings;
    std::int32_t stack = 0; // where it is in the key
    Label count;            // bf_count
};

// All blocks, and the dispatcher.
void emit_blocks(Assembler &as, const ir::Table &table, ir::Hook hook, const ir::Flow &flow,
                 const RuleCode &code, Label dispatcher);

// Bounds of one subprogram: jumps are 16 bit, and the verifier keeps at most 8,192 branches
// in mind.
inline constexpr std::size_t subprogram_insns_max = 28'000;
inline constexpr std::size_t subprogram_branches_max = 6'000;
// With one more rule, which has no more than three for each word of its conditions.
inline constexpr std::size_t subprogram_branches_most = 8'000;
inline constexpr std::size_t word_branches_max = 3;

} // namespace bpfilter::codegen
