// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/table.h"
#include "umh/codegen/assembler.h"
#include "umh/codegen/codegen.h"
#include "umh/load/limit.h"
#include "umh/load/map.h"
#include "umh/load/program.h"

#include <bpf/bpf.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <utility>

#include <sys/resource.h>

namespace bpfilter {
namespace {

using namespace test;
using testing::HasSubstr;

class Load : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }
};

codegen::Program small(const std::vector<bpf_insn> &insns)
{
    codegen::Assembler as;
    as.function(as.label(), codegen::Function{.name = "bf_test", .arguments = 1});
    for (const bpf_insn &insn : insns)
        as.emit(insn);
    codegen::Program program = std::move(*std::move(as).finish());
    program.name = "bf_test";
    program.type = BPF_PROG_TYPE_SCHED_CLS;
    program.source = "test";
    return program;
}

std::string map_name(const UniqueFd &fd)
{
    bpf_map_info info{};
    __u32 size = sizeof(info);
    return bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 ? info.name : "";
}

TEST_F(Load, MapsHaveNames)
{
    EXPECT_EQ(map_name(*create_context_map(256)), "bf_context");
    EXPECT_EQ(map_name(*create_counters_map(3)), "bf_counters");
    EXPECT_EQ(map_name(*create_base_map(3)), "bf_base");
    EXPECT_EQ(map_name(*create_guard_map()), "bf_guard");
    EXPECT_EQ(map_name(*create_local_map()), "bf_local");
}

TEST_F(Load, MapsThatCannotBeAreRefused)
{
    const auto map = create_context_map(1 << 30);
    ASSERT_FALSE(map);
    EXPECT_EQ(map.error().code, ENOMEM);
    EXPECT_THAT(map.error().message, HasSubstr("bf_context"));
}

TEST_F(Load, ProgramRuns)
{
    using namespace codegen;
    const auto program = load_program(small({move(r0, 42), exit_insn()}), {});
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(run_program(program->get(), PacketBytes(64)).result, 42U);
}

// It is sound, and the verifier goes round 100,000 times before it knows.
codegen::Program slow()
{
    using namespace codegen;
    Assembler as;
    const Label again = as.label();
    as.function(as.label(), Function{.name = "bf_test", .arguments = 1});
    as.emit(move(r0, 0));
    as.enter(again);
    as.emit(alu(BPF_ADD, r0, 1));
    as.jump_if(BPF_JLT, r0, 100'000, again);
    as.emit(exit_insn());
    Program program = std::move(*std::move(as).finish());
    program.name = "bf_test";
    program.type = BPF_PROG_TYPE_SCHED_CLS;
    program.source = "test";
    return program;
}

TEST_F(Load, WhatTakesTooLongIsInterrupted)
{
    const auto in_time = load_program(slow(), {});
    ASSERT_TRUE(in_time) << in_time.error().message;
    {
        const Deadline over(Deadline::Clock::now());
        const auto late = load_program(slow(), {});
        ASSERT_FALSE(late);
        EXPECT_EQ(late.error().code, ENOMEM);
        EXPECT_THAT(late.error().message, HasSubstr("takes too long"));
    }
    EXPECT_TRUE(load_program(slow(), {})) << "it is not interrupted for ever";
}

TEST(LoadLimit, WhenMemoryIsShortUsersAreGivenUpFirst)
{
    using Loads = std::vector<LoadSize>;
    constexpr std::size_t small = 1'999;
    EXPECT_EQ(one_to_give_up(Loads{}), std::nullopt);
    EXPECT_EQ(one_to_give_up(Loads{{small, true}, {small, false}}), std::nullopt);
    EXPECT_EQ(one_to_give_up(Loads{{5'000, false}, {2'000, true}, {small, true}}), 1U);
    EXPECT_EQ(one_to_give_up(Loads{{5'000, false}, {2'000, true}, {2'001, true}}), 2U);
    EXPECT_EQ(one_to_give_up(Loads{{2'000, false}, {5'000, false}, {small, true}}), 1U);
}

TEST_F(Load, ADescriptorThatIsMissingIsNotTheVerifiers)
{
    using namespace codegen;
    const auto program = small({move(r0, 42), exit_insn()});
    ASSERT_TRUE(load_program(program, {})) << "and who watches is there";
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto refused = load_program(program, {});
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ENOMEM) << refused.error().message;
}

TEST_F(Load, MapsAreFoundByNumber)
{
    const auto map = create_counters_map(3);
    ASSERT_TRUE(map);
    const auto id = map_id(map->get());
    ASSERT_TRUE(id);
    const auto again = open_map(*id);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(map_name(*again), "bf_counters");
    EXPECT_EQ(open_map(0x7fffffff).error().code, EIO);
}

TEST_F(Load, RefusalSaysWhy)
{
    using namespace codegen;
    const auto program = load_program(small({move(r0, r5), exit_insn()}), {});
    ASSERT_FALSE(program);
    EXPECT_EQ(program.error().code, EIO);
    EXPECT_THAT(program.error().message, HasSubstr("bf_test"));
    EXPECT_THAT(program.error().message, HasSubstr("R5 !read_ok"));
}

// What bpftool shows: names, and each rule's text beside its instructions.
TEST_F(Load, ProgramCarriesNamesAndText)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({in("lo"), protocol(1)}, ir::Drop{});
    ir::Table table = builder.build();
    table.rules[0].text = "-A INPUT -i lo -p icmp -j DROP";
    const LoadedHook loaded(table, ir::Hook::local_in);

    std::vector<bpf_line_info> lines(64);
    std::vector<bpf_func_info> functions(8);
    bpf_prog_info info{};
    info.nr_line_info = static_cast<__u32>(lines.size());
    info.line_info_rec_size = sizeof(bpf_line_info);
    info.line_info = reinterpret_cast<std::uintptr_t>(lines.data());
    info.nr_func_info = static_cast<__u32>(functions.size());
    info.func_info_rec_size = sizeof(bpf_func_info);
    info.func_info = reinterpret_cast<std::uintptr_t>(functions.data());
    __u32 size = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(loaded.program(), &info, &size), 0);
    EXPECT_STREQ(info.name, "bf_filter_in");
    EXPECT_EQ(info.nr_func_info, 2U); // the program and bf_count
    EXPECT_NE(info.btf_id, 0U);

    std::vector<char> blob(1 << 16);
    bpf_btf_info btf{};
    btf.btf = reinterpret_cast<std::uintptr_t>(blob.data());
    btf.btf_size = static_cast<__u32>(blob.size());
    size = sizeof(btf);
    const UniqueFd fd(bpf_btf_get_fd_by_id(info.btf_id));
    ASSERT_EQ(bpf_obj_get_info_by_fd(fd.get(), &btf, &size), 0);
    const std::string strings(blob.data(), btf.btf_size);
    EXPECT_THAT(strings, HasSubstr("-A INPUT -i lo -p icmp -j DROP"));
    EXPECT_THAT(strings, HasSubstr("bf_count"));
}

TEST_F(Load, LocalPrefixesAreFound)
{
    const LocalPrefix gone{ipv4("10.0.0.2"), 32, true};
    const auto map = create_local_map();
    ASSERT_TRUE(map) << map.error().message;
    for (const LocalPrefix &prefix :
         {LocalPrefix{ipv4("127.0.0.0"), 8, true}, LocalPrefix{ipv4("10.0.0.1"), 32, true}, gone,
          LocalPrefix{ipv4("10.0.0.3"), 32, false}})
        ASSERT_TRUE(set_local(map->get(), prefix));
    ASSERT_TRUE(unset_local(map->get(), gone));
    ASSERT_TRUE(unset_local(map->get(), gone)) << "it is gone already";
    const auto found = [&map](const char *address) {
        struct {
            std::uint32_t length;
            std::array<std::byte, 4> address;
        } const key{32, ipv4(address)};
        std::uint8_t value = 0;
        return bpf_map_lookup_elem(map->get(), &key, &value) == 0 ? value : -1;
    };
    EXPECT_EQ(found("127.200.0.1"), 1);
    EXPECT_EQ(found("10.0.0.1"), 1);
    EXPECT_EQ(found("10.0.0.2"), -1);
    EXPECT_EQ(found("10.0.0.3"), 0);
    EXPECT_EQ(found("128.0.0.1"), -1);
}

} // namespace
} // namespace bpfilter
