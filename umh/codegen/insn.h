// SPDX-License-Identifier: GPL-2.0
//
// One maker per kind of BPF instruction that codegen uses.
#pragma once

#include <bit>
#include <cstdint>
#include <linux/bpf.h>

namespace bpfilter::codegen {

// Registers. r6 to r9 survive calls.
enum Register : std::uint8_t { r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10 };

constexpr bpf_insn insn(std::uint32_t code, std::uint8_t dst, std::uint8_t src, std::int32_t offset,
                        std::int32_t imm)
{
    return bpf_insn{static_cast<__u8>(code), static_cast<__u8>(dst & 0xf),
                    static_cast<__u8>(src & 0xf), static_cast<__s16>(offset), imm};
}

// 64-bit, sign-extended constant.
constexpr bpf_insn move(Register dst, std::int32_t imm)
{
    return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}

// 32-bit constant, upper half zero.
constexpr bpf_insn move32(Register dst, std::uint32_t imm)
{
    return insn(BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, static_cast<std::int32_t>(imm));
}

constexpr bpf_insn move(Register dst, Register src)
{
    return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

// dst = dst OP constant; operation: BPF_ADD, BPF_AND, ...
constexpr bpf_insn alu(std::uint32_t operation, Register dst, std::int32_t imm)
{
    return insn(BPF_ALU64 | operation | BPF_K, dst, 0, 0, imm);
}

constexpr bpf_insn alu(std::uint32_t operation, Register dst, Register src)
{
    return insn(BPF_ALU64 | operation | BPF_X, dst, src, 0, 0);
}

constexpr bpf_insn alu32(std::uint32_t operation, Register dst, std::uint32_t imm)
{
    return insn(BPF_ALU | operation | BPF_K, dst, 0, 0, static_cast<std::int32_t>(imm));
}

constexpr bpf_insn alu32(std::uint32_t operation, Register dst, Register src)
{
    return insn(BPF_ALU | operation | BPF_X, dst, src, 0, 0);
}

// dst = the 16-bit number that lies in network byte order in dst.
constexpr bpf_insn from_network16(Register dst)
{
    return insn(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 16);
}

constexpr bpf_insn from_network32(Register dst)
{
    return insn(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 32);
}

// The size of a load or store of so many bytes: 1, 2, 4 or 8.
constexpr std::uint32_t size_of_bytes(std::uint32_t bytes)
{
    constexpr std::uint32_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
    return sizes[std::countr_zero(bytes)];
}

// dst = *(base + offset); size: BPF_B, BPF_H, BPF_W, BPF_DW.
constexpr bpf_insn load(std::uint32_t size, Register dst, Register base, std::size_t offset)
{
    return insn(BPF_LDX | BPF_MEM | size, dst, base, static_cast<std::int32_t>(offset), 0);
}

constexpr bpf_insn store(std::uint32_t size, Register base, std::int32_t offset, Register src)
{
    return insn(BPF_STX | BPF_MEM | size, base, src, offset, 0);
}

constexpr bpf_insn store(std::uint32_t size, Register base, std::int32_t offset, std::int32_t imm)
{
    return insn(BPF_ST | BPF_MEM | size, base, 0, offset, imm);
}

constexpr bpf_insn call_helper(std::int32_t helper)
{
    return insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

constexpr bpf_insn exit_insn()
{
    return insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

} // namespace bpfilter::codegen
