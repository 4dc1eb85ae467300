// SPDX-License-Identifier: GPL-2.0
//
// Assembler: instructions, with names for places that are not there yet.
//
// A label is made, used in jumps and calls, and bound to a place once, in any order;
// finish() fills in the distances. Jumps reach 32,767 instructions, calls everything.
//
// A label nobody jumped to need not be bound, and code that nothing reaches must not be
// written, for the verifier refuses it: ask used() first.
#pragma once

#include "umh/codegen/insn.h"
#include "umh/codegen/program.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::codegen {

struct Label {
    std::uint32_t id = 0;
};

// BPF_COMPLEXITY_LIMIT_INSNS: each instruction is looked at once at least.
inline constexpr std::size_t insns_max = 1'000'000;

class Assembler {
public:
    [[nodiscard]] Label label();
    void bind(Label label);
    // The same for a label that is sure to be jumped to from further on.
    void enter(Label label);
    [[nodiscard]] bool used(Label label) const;

    void emit(const bpf_insn &insn);
    // Whether what is emitted now can be reached: from the instruction before, or by a label
    // bound here that was jumped to already.
    [[nodiscard]] bool falls_through() const;

    // Begins a subprogram here, and binds its label. The line is for bpftool.
    void function(Label label, Function function);
    // The instructions from here on belong to this text. Behind it, line(0, "") ends it.
    void line(std::uint32_t number, std::string text);

    void jump(Label target);
    // if (dst OPERATION constant) goto target; operation: BPF_JEQ, BPF_JGT, ... 64 bits, the
    // constant sign-extended.
    void jump_if(std::uint32_t operation, Register dst, std::int32_t imm, Label target);
    void jump_if(std::uint32_t operation, Register dst, Register src, Label target);
    // The same for the lower 32 bits.
    void jump_if32(std::uint32_t operation, Register dst, std::uint32_t imm, Label target);

    void call(Label function);
    void load_function(Register dst, Label function);
    void load_map(Register dst, MapSlot map);
    // The address of element 0 of an array.
    void load_map_value(Register dst, MapSlot map);
    void load_number(Register dst, std::uint64_t value);

    [[nodiscard]] std::size_t size() const { return program_.insns.size(); }
    // More than any verifier looks at: there is no point in going on.
    [[nodiscard]] bool too_large() const { return size() > insns_max; }
    // Jumps written that the verifier has to follow both ways.
    [[nodiscard]] std::size_t branches() const { return branches_; }

    // The program, without name, type and flags. ENOMEM: too many of them, or
    // a jump that is too long.
    Result<Program> finish() &&;

private:
    enum class FixupKind : std::uint8_t { jump, call };
    struct Fixup {
        std::uint32_t insn;
        std::uint32_t label;
        FixupKind kind;
    };
    struct Place {
        std::int64_t insn = -1;
        bool used = false;
    };

    void jump_insn(const bpf_insn &insn, Label target);
    void refer(Label label, FixupKind kind);

    Program program_;
    std::vector<Place> places_;
    std::vector<Fixup> fixups_;
    std::size_t branches_ = 0;
    std::size_t reached_ = 0; // the last place where a used label was bound
};

} // namespace bpfilter::codegen
