// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/assembler.h"

#include <cerrno>
#include <limits>
#include <stdexcept>
#include <utility>

namespace bpfilter::codegen {

Label Assembler::label()
{
    places_.emplace_back();
    return Label{static_cast<std::uint32_t>(places_.size() - 1)};
}

void Assembler::bind(Label label)
{
    Place &place = places_.at(label.id);
    if (place.insn >= 0)
        throw std::logic_error("a label was bound twice");
    place.insn = static_cast<std::int64_t>(size());
    if (place.used)
        reached_ = size();
}

void Assembler::enter(Label label)
{
    bind(label);
    reached_ = size();
}

bool Assembler::used(Label label) const
{
    return places_.at(label.id).used;
}

void Assembler::emit(const bpf_insn &insn)
{
    program_.insns.push_back(insn);
}

bool Assembler::falls_through() const
{
    if (reached_ == size())
        return true;
    const std::uint8_t code = program_.insns.back().code;
    return code != (BPF_JMP | BPF_JA) && code != (BPF_JMP | BPF_EXIT);
}

void Assembler::function(Label label, Function function)
{
    enter(label);
    function.insn = static_cast<std::uint32_t>(size());
    line(0, function.name);
    program_.functions.push_back(std::move(function));
}

void Assembler::line(std::uint32_t number, std::string text)
{
    const auto here = static_cast<std::uint32_t>(size());
    // Two texts at one instruction: the later says more.
    if (!program_.lines.empty() && program_.lines.back().insn == here)
        program_.lines.pop_back();
    program_.lines.push_back(Line{here, number, std::move(text)});
}

void Assembler::refer(Label label, FixupKind kind)
{
    places_.at(label.id).used = true;
    fixups_.push_back(Fixup{static_cast<std::uint32_t>(size()), label.id, kind});
}

void Assembler::jump_insn(const bpf_insn &insn, Label target)
{
    refer(target, FixupKind::jump);
    emit(insn);
}

void Assembler::jump(Label target)
{
    jump_insn(insn(BPF_JMP | BPF_JA, 0, 0, 0, 0), target);
}

void Assembler::jump_if(std::uint32_t operation, Register dst, std::int32_t imm, Label target)
{
    jump_insn(insn(BPF_JMP | operation | BPF_K, dst, 0, 0, imm), target);
    ++branches_;
}

void Assembler::jump_if(std::uint32_t operation, Register dst, Register src, Label target)
{
    jump_insn(insn(BPF_JMP | operation | BPF_X, dst, src, 0, 0), target);
    ++branches_;
}

void Assembler::jump_if32(std::uint32_t operation, Register dst, std::uint32_t imm, Label target)
{
    const auto value = static_cast<std::int32_t>(imm);
    jump_insn(insn(BPF_JMP32 | operation | BPF_K, dst, 0, 0, value), target);
    ++branches_;
}

void Assembler::call(Label function)
{
    refer(function, FixupKind::call);
    emit(insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0));
}

void Assembler::load_function(Register dst, Label function)
{
    refer(function, FixupKind::call);
    emit(insn(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_FUNC, 0, 0));
    emit(insn(0, 0, 0, 0, 0));
}

void Assembler::load_map(Register dst, MapSlot map)
{
    program_.maps.push_back(MapReference{static_cast<std::uint32_t>(size()), map});
    emit(insn(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, 0));
    emit(insn(0, 0, 0, 0, 0));
}

void Assembler::load_map_value(Register dst, MapSlot map)
{
    program_.maps.push_back(MapReference{static_cast<std::uint32_t>(size()), map});
    emit(insn(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_VALUE, 0, 0));
    emit(insn(0, 0, 0, 0, 0));
}

void Assembler::load_number(Register dst, std::uint64_t value)
{
    emit(insn(BPF_LD | BPF_DW | BPF_IMM, dst, 0, 0, static_cast<std::int32_t>(value)));
    emit(insn(0, 0, 0, 0, static_cast<std::int32_t>(value >> 32)));
}

Result<Program> Assembler::finish() &&
{
    if (too_large())
        return fail(ENOMEM, "too many rules: more instructions than the kernel's verifier takes");
    for (const Fixup &fixup : fixups_) {
        const std::int64_t place = places_[fixup.label].insn;
        if (place < 0)
            throw std::logic_error("a label was used and never bound");
        const std::int64_t distance = place - fixup.insn - 1;
        bpf_insn &insn = program_.insns[fixup.insn];
        if (fixup.kind == FixupKind::call) {
            insn.imm = static_cast<std::int32_t>(distance);
            continue;
        }
        if (distance < std::numeric_limits<std::int16_t>::min() ||
            distance > std::numeric_limits<std::int16_t>::max())
            return fail(ENOMEM, "too many rules: a jump of a program is too long");
        insn.off = static_cast<std::int16_t>(distance);
    }
    return std::move(program_);
}

} // namespace bpfilter::codegen
