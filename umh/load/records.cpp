// SPDX-License-Identifier: GPL-2.0
#include "umh/load/records.h"

#include "umh/bpf/element.h"
#include "umh/core/ir/flow.h"

#include <algorithm>
#include <bpf/libbpf.h>
#include <cerrno>
#include <string>
#include <utility>

namespace bpfilter {

namespace {

Result<> add_programs(WrittenTable &written, const ir::Table &table,
                      const records::HookWants &wants)
{
    for (std::size_t i = 0; i < ir::hook_count; ++i) {
        if (!table.hooks[i])
            continue;
        const auto program = written.block.arena().program(table.family, wants[i].parts);
        if (!program)
            return fail(program.error().code, program.error().message);
        written.hooks[i].program = *program;
    }
    return {};
}

} // namespace

Result<TablePlan> plan_table(const ir::Table &table)
{
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 1)
        return fail(EIO, "cannot learn the number of CPUs");
    if (const auto depth = ir::stack_need(table); depth >= element_stack_max)
        return fail(ENOMEM, "chains may be nested " + std::to_string(depth) + " deep, more than " +
                                std::to_string(element_stack_max - 1));
    TablePlan plan;
    plan.wants = records::wants_of(table);
    plan.size = records::size_of(table, plan.wants);
    plan.cpus = static_cast<std::uint32_t>(cpus);
    return plan;
}

Result<WrittenTable> write_table(Arenas &arenas, const ir::Table &table, const TablePlan &plan)
{
    auto block = arenas.take(plan.bytes());
    if (!block)
        return fail(std::move(block.error()));
    WrittenTable written;
    written.block = std::move(*block);
    written.cpus = plan.cpus;
    written.counting = {written.block.place(), static_cast<std::uint32_t>(plan.size.counters)};

    const std::size_t counters = plan.size.counters * plan.cpus;
    const auto bytes = written.block.bytes();
    std::ranges::fill(bytes.first(counters), std::byte{});
    const records::Encoded encoded = records::encode(
        table, plan.wants, bytes.subspan(counters),
        written.block.place() + static_cast<std::uint32_t>(counters), written.counting);
    written.block.shrink(static_cast<std::uint32_t>(counters + encoded.used));
    for (std::size_t i = 0; i < ir::hook_count; ++i)
        written.hooks[i].root = encoded.roots[i];
    if (auto added = add_programs(written, table, plan.wants); !added)
        return fail(std::move(added.error()));
    return written;
}

} // namespace bpfilter
