// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/assembler.h"

#include <cerrno>
#include <gtest/gtest.h>
#include <stdexcept>
#include <utility>

namespace bpfilter::codegen {
namespace {

TEST(Assembler, FillsInJumpsBothWays)
{
    Assembler as;
    const Label back = as.label();
    const Label ahead = as.label();
    as.bind(back);
    as.emit(move(r0, 0));
    as.jump_if(BPF_JEQ, r0, 7, ahead); // 1: over one
    as.jump(back);                     // 2: to 0
    as.bind(ahead);
    as.emit(exit_insn());
    const Result<Program> program = std::move(as).finish();
    ASSERT_TRUE(program);
    EXPECT_EQ(program->insns[1].off, 1);
    EXPECT_EQ(program->insns[1].imm, 7);
    EXPECT_EQ(program->insns[2].off, -3);
}

TEST(Assembler, CallsAndFunctionAddressesAreRelative)
{
    Assembler as;
    const Label function = as.label();
    as.call(function);              // 0
    as.load_function(r2, function); // 1, 2
    as.emit(exit_insn());           // 3
    as.function(function, Function{.name = "f", .arguments = 1});
    as.emit(exit_insn()); // 4
    const Result<Program> program = std::move(as).finish();
    ASSERT_TRUE(program);
    EXPECT_EQ(program->insns[0].imm, 3);
    EXPECT_EQ(program->insns[0].src_reg, BPF_PSEUDO_CALL);
    EXPECT_EQ(program->insns[1].imm, 2);
    EXPECT_EQ(program->insns[1].src_reg, BPF_PSEUDO_FUNC);
    ASSERT_EQ(program->functions.size(), 1);
    EXPECT_EQ(program->functions[0].insn, 4);
}

TEST(Assembler, LeavesMapsToTheLoader)
{
    Assembler as;
    as.emit(move(r0, 0));
    as.load_map(r1, MapSlot::counters);
    as.emit(exit_insn());
    const Result<Program> program = std::move(as).finish();
    ASSERT_TRUE(program);
    ASSERT_EQ(program->maps.size(), 1);
    EXPECT_EQ(program->maps[0].insn, 1);
    EXPECT_EQ(program->maps[0].map, MapSlot::counters);
    EXPECT_EQ(program->insns[1].src_reg, BPF_PSEUDO_MAP_FD);
    EXPECT_EQ(program->insns.size(), 4);
}

TEST(Assembler, RefusesJumpsThatAreTooLong)
{
    for (const bool too_long : {false, true}) {
        Assembler as;
        const Label end = as.label();
        as.jump(end);
        for (int i = 0; i < 32767 + (too_long ? 1 : 0); ++i)
            as.emit(move(r0, 0));
        as.bind(end);
        as.emit(exit_insn());
        const Result<Program> program = std::move(as).finish();
        EXPECT_EQ(program.has_value(), !too_long);
        if (!program) {
            EXPECT_EQ(program.error().code, ENOMEM);
        }
    }
}

TEST(Assembler, KnowsWhatCanBeReached)
{
    Assembler as;
    const Label target = as.label();
    const Label nobody = as.label();
    as.jump_if(BPF_JEQ, r1, 0, target);
    EXPECT_TRUE(as.falls_through());
    as.emit(exit_insn());
    EXPECT_FALSE(as.falls_through());
    as.bind(nobody);
    EXPECT_FALSE(as.falls_through());
    EXPECT_FALSE(as.used(nobody));
    as.bind(target);
    EXPECT_TRUE(as.falls_through());
    as.jump(target);
    EXPECT_FALSE(as.falls_through());
    as.enter(as.label());
    EXPECT_TRUE(as.falls_through());
}

TEST(Assembler, TheLaterTextStands)
{
    Assembler as;
    as.function(as.label(), Function{.name = "f"});
    as.line(1, "first");
    as.line(2, "second");
    as.emit(move(r0, 0));
    as.line(3, "third");
    as.emit(exit_insn());
    const Result<Program> program = std::move(as).finish();
    ASSERT_TRUE(program);
    ASSERT_EQ(program->lines.size(), 2);
    EXPECT_EQ(program->lines[0].text, "second");
    EXPECT_EQ(program->lines[0].insn, 0);
    EXPECT_EQ(program->lines[1].insn, 1);
}

TEST(Assembler, BrokenUseThrows)
{
    Assembler twice;
    const Label label = twice.label();
    twice.bind(label);
    EXPECT_THROW(twice.bind(label), std::logic_error);
    Assembler never;
    never.jump(never.label());
    EXPECT_THROW((void)std::move(never).finish(), std::logic_error);
}

} // namespace
} // namespace bpfilter::codegen
