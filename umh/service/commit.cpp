// SPDX-License-Identifier: GPL-2.0
#include "umh/service/commit.h"

#include "umh/codegen/codegen.h"
#include "umh/load/map.h"
#include "umh/load/program.h"
#include "umh/xdp/lead.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace bpfilter::service {

namespace {

struct HookProgram {
    ir::Hook hook{};
    UniqueFd fd;
};

Result<UniqueFd> make_context_map(const ir::Table &table)
{
    auto size = codegen::context_size(table);
    if (!size)
        return fail(std::move(size.error()));
    return create_context_map(*size);
}

// Half of the time that the module gives for all of the request, which is the caller's patience.
LoadDeadline load_deadline(const pipe::Request &request)
{
    const auto seconds = request.header.seconds != 0 ? request.header.seconds : 60;
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(seconds * 500UL);
}

Result<std::vector<HookProgram>> make_programs(const ir::Table &table, const ProgramMaps &maps,
                                               LoadDeadline deadline)
{
    std::vector<HookProgram> programs;
    for (std::size_t i = 0; i < ir::hook_count; ++i) {
        if (!table.hooks[i])
            continue;
        const auto hook = static_cast<ir::Hook>(i);
        auto program = codegen::generate(table, hook);
        if (!program)
            return fail(std::move(program.error()));
        auto fd = load_program(*program, maps, deadline);
        if (!fd)
            return fail(std::move(fd.error()));
        programs.push_back({hook, std::move(*fd)});
    }
    return programs;
}

// First contents are a policy for each hook and the ERROR node behind them.
bool has_rules(const ir::Table &table)
{
    const auto hooks = std::ranges::count_if(table.hooks, [](const auto &h) { return bool(h); });
    return table.rules.size() > static_cast<std::size_t>(hooks) + 1;
}

bpfilter_commit describe(const ir::Table &table, const std::vector<HookProgram> &programs)
{
    bpfilter_commit commit{};
    table.name.copy(commit.table, sizeof(commit.table) - 1);
    if (has_rules(table))
        commit.flags |= BPFILTER_COMMIT_PIN;
    if (wants_devices(table))
        commit.flags |= BPFILTER_COMMIT_WATCH;
    for (const auto &program : programs) {
        const auto number = static_cast<std::size_t>(program.hook);
        auto &hook = commit.hook[commit.hook_count++];
        hook.hook = static_cast<__u32>(number);
        hook.priority = table.hooks[number]->priority;
        if (table.hooks[number]->nat)
            hook.flags |= BPFILTER_HOOK_NAT;
        if (table.hooks[number]->reroute)
            hook.flags |= BPFILTER_HOOK_REROUTE;
        hook.prog_fd = program.fd.get();
    }
    return commit;
}

__u32 unused_context(const ir::Table &table)
{
    const auto use = codegen::context_use(table);
    return (use.devices ? 0 : BPFILTER_COMMIT_NO_DEVICES) |
           (use.link ? 0 : BPFILTER_COMMIT_NO_LINK);
}

} // namespace

bool wants_devices(const ir::Table &table)
{
    return table.family == ir::Family::ipv4 && table.name == "filter" &&
           !xdp::lead_devices(xdp::find_lead(table, ir::Hook::local_in)).empty();
}

Result<TableState> put_in_force(decode::DecodedTable decoded, const pipe::Request &request,
                                pipe::Kernel &kernel, const Settings &settings)
{
    const LoadDeadline deadline = load_deadline(request);
    const ir::Table &table = decoded.table;
    const auto rules = static_cast<std::uint32_t>(table.rules.size());

    auto context = make_context_map(table);
    if (!context)
        return fail(std::move(context.error()));
    auto counters = create_counters_map(rules);
    if (!counters)
        return fail(std::move(counters.error()));
    auto base = create_base_map(rules);
    if (!base)
        return fail(std::move(base.error()));
    auto programs = make_programs(
        table, {.context = context->get(), .counters = counters->get(), .local = -1}, deadline);
    if (!programs)
        return fail(std::move(programs.error()));

    bpfilter_commit commit = describe(table, *programs);
    if (settings.minor >= 2)
        commit.flags |= unused_context(table);
    commit.id = request.header.id;
    commit.context_fd = context->get();
    commit.kept_count = kept_count;
    commit.kept_fd[kept_counters] = counters->get();
    commit.kept_fd[kept_base] = base->get();
    auto state = TableState::make(std::move(decoded), counters->get(), base->get());
    if (!state)
        return state;
    if (auto done = kernel.commit(commit); !done)
        return fail(std::move(done.error()));
    return state;
}

} // namespace bpfilter::service
