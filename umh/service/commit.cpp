// SPDX-License-Identifier: GPL-2.0
#include "umh/service/commit.h"

#include "umh/bpf/element.h"
#include "umh/codegen/codegen.h"
#include "umh/core/records/wants.h"
#include "umh/load/map.h"
#include "umh/load/program.h"
#include "umh/load/records.h"
#include "umh/xdp/lead.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>
#include <vector>

namespace bpfilter::service {

namespace {

struct OwnProgram {
    ir::Hook hook{};
    UniqueFd fd;
};

struct HookProgram {
    ir::Hook hook{};
    int fd = -1;
};

Result<UniqueFd> make_context_map(const ir::Table &table)
{
    auto size = codegen::context_size(table);
    if (!size)
        return fail(std::move(size.error()));
    return create_context_map(*size);
}

Result<std::vector<OwnProgram>> make_programs(const ir::Table &table, const ProgramMaps &maps)
{
    std::vector<OwnProgram> programs;
    for (std::size_t i = 0; i < ir::hook_count; ++i) {
        if (!table.hooks[i])
            continue;
        const auto hook = static_cast<ir::Hook>(i);
        auto program = codegen::generate(table, hook);
        if (!program)
            return fail(std::move(program.error()));
        auto fd = load_program(*program, maps);
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

bpfilter_commit describe(const ir::Table &table, const std::vector<HookProgram> &programs,
                         const Counting &counting)
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
        hook.prog_fd = program.fd;
    }
    const auto kept = counting.fds();
    commit.kept_count = static_cast<__u32>(kept.size());
    std::ranges::copy(kept, commit.kept_fd);
    return commit;
}

__u32 unused_context(const ir::Table &table)
{
    const auto use = codegen::context_use(table);
    return (use.devices ? 0 : BPFILTER_COMMIT_NO_DEVICES) |
           (use.link ? 0 : BPFILTER_COMMIT_NO_LINK);
}

Result<TableState> put_code_in_force(blob::DecodedTable decoded, std::uint64_t request,
                                     pipe::Kernel &kernel, const Settings &settings)
{
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
    const auto programs =
        make_programs(table, {.context = context->get(), .counters = counters->get(), .local = -1});
    if (!programs)
        return fail(programs.error().code, programs.error().message);
    std::vector<HookProgram> hooks;
    for (const auto &program : *programs)
        hooks.push_back({program.hook, program.fd.get()});
    auto counting = Counting::of_code(std::move(*counters), std::move(*base));

    bpfilter_commit commit = describe(table, hooks, counting);
    if (settings.minor >= 2)
        commit.flags |= unused_context(table);
    commit.id = request;
    commit.context_fd = context->get();
    if (auto done = kernel.commit(commit); !done)
        return fail(std::move(done.error()));
    return TableState{std::move(decoded), std::move(counting)};
}

// The parts of the key that are asked for, of all hooks.
ir::Parts parts_of_hooks(const ir::Table &table)
{
    ir::Parts parts;
    for (const auto &wants : records::wants_of(table))
        parts |= wants.parts;
    return parts;
}

Result<Counting> make_counting(const ir::Table &table, const WrittenTable &written)
{
    const auto rules = static_cast<std::uint32_t>(table.rules.size());
    UniqueFd arena(fcntl(written.block.arena().map(), F_DUPFD_CLOEXEC, 0));
    if (!arena)
        return fail(EMFILE, "no descriptor for an arena");
    auto tally = create_memory_map("bf_tally", static_cast<std::uint32_t>(tally_size(rules)));
    if (!tally)
        return fail(std::move(tally.error()));
    UniqueFd early;
    if (wants_devices(table)) {
        auto counters = create_counters_map(rules);
        if (!counters)
            return fail(std::move(counters.error()));
        early = std::move(*counters);
    }
    return Counting::of_data(
        std::move(arena), std::move(*tally), std::move(early), rules,
        {.place = written.counting.place, .stride = written.counting.stride, .cpus = written.cpus});
}

Result<TableState> put_data_in_force(blob::DecodedTable decoded, std::uint64_t request,
                                     pipe::Kernel &kernel, Arenas &arenas)
{
    const ir::Table &table = decoded.table;
    auto written = write_table(arenas, table);
    if (!written)
        return fail(std::move(written.error()));
    auto counting = make_counting(table, *written);
    if (!counting)
        return fail(std::move(counting.error()));

    std::vector<HookProgram> hooks;
    bpfilter_commit_records records{};
    for (std::size_t i = 0; i < ir::hook_count; ++i) {
        if (!table.hooks[i])
            continue;
        hooks.push_back({static_cast<ir::Hook>(i), written->hooks[i].program});
        records.root[i] = written->hooks[i].root;
    }
    records.commit = describe(table, hooks, *counting);
    const ir::Parts parts = parts_of_hooks(table);
    if (!parts.has(ir::Part::devices))
        records.commit.flags |= BPFILTER_COMMIT_NO_DEVICES;
    if (!parts.has(ir::Part::link))
        records.commit.flags |= BPFILTER_COMMIT_NO_LINK;
    records.commit.id = request;
    records.commit.context_fd = arenas.elements();
    records.element_size = element_size;
    if (auto done = kernel.commit_records(records); !done)
        return fail(std::move(done.error()));
    return TableState{std::move(decoded), std::move(*counting), std::move(written->block)};
}

} // namespace

bool may_want_devices(const ir::Table &table)
{
    return table.family == ir::Family::ipv4 && table.name == "filter";
}

bool wants_devices(const ir::Table &table)
{
    return may_want_devices(table) &&
           !xdp::lead_devices(xdp::find_lead(table, ir::Hook::local_in)).empty();
}

Result<TableState> put_in_force(blob::DecodedTable decoded, std::uint64_t request,
                                pipe::Kernel &kernel, const Settings &settings, Arenas &arenas)
{
    const bool as_data = settings.minor >= 3 && settings.form == BPFILTER_FORM_DATA;
    return as_data ? put_data_in_force(std::move(decoded), request, kernel, arenas)
                   : put_code_in_force(std::move(decoded), request, kernel, settings);
}

} // namespace bpfilter::service
