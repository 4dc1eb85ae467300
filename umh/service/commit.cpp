// SPDX-License-Identifier: GPL-2.0
#include "umh/service/commit.h"

#include "umh/bpf/element.h"
#include "umh/codegen/codegen.h"
#include "umh/core/plan/form.h"
#include "umh/core/records/wants.h"
#include "umh/load/map.h"
#include "umh/load/program.h"
#include "umh/load/records.h"

#include <algorithm>
#include <array>
#include <span>
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
                         std::span<const int> kept)
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
    commit.kept_count = static_cast<__u32>(kept.size());
    std::ranges::copy(kept, commit.kept_fd);
    return commit;
}

__u32 context_flags(const codegen::ContextUse &use)
{
    return (use.devices ? 0 : BPFILTER_COMMIT_NO_DEVICES) |
           (use.link ? 0 : BPFILTER_COMMIT_NO_LINK) |
           (use.connection ? BPFILTER_COMMIT_CONNECTION : 0);
}

Result<TableState> put_code_in_force(blob::DecodedTable decoded, const pipe::Request &request,
                                     pipe::Kernel &kernel)
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
    auto programs =
        make_programs(table, {.context = context->get(), .counters = counters->get(), .local = -1});
    if (!programs)
        return fail(std::move(programs.error()));
    std::vector<HookProgram> hooks;
    for (const auto &program : *programs)
        hooks.push_back({program.hook, program.fd.get()});

    bpfilter_commit commit = describe(table, hooks, std::array{counters->get(), base->get()});
    commit.flags |= context_flags(codegen::context_use(table));
    commit.id = request.header.id;
    commit.context_fd = context->get();
    auto counting = Counting::of_code(counters->get(), base->get());
    if (!counting)
        return fail(std::move(counting.error()));
    TableState state(std::move(decoded), *counting);
    if (auto done = kernel.commit(commit); !done)
        return fail(std::move(done.error()));
    return state;
}

// The parts of the key that are asked for, of all hooks.
ir::Parts parts_of_hooks(const records::HookWants &all)
{
    ir::Parts parts;
    for (const auto &wants : all)
        parts |= wants.parts;
    return parts;
}

// Where a table as data counts.
struct Tally {
    UniqueFd tally;
    UniqueFd early; // or none
    Counting counting;
};

Result<Tally> make_tally(const ir::Table &table, const WrittenTable &written)
{
    const auto rules = static_cast<std::uint32_t>(table.rules.size());
    Tally made;
    auto tally = create_memory_map("bf_tally", static_cast<std::uint32_t>(tally_size(rules)));
    if (!tally)
        return fail(std::move(tally.error()));
    made.tally = std::move(*tally);
    if (wants_devices(table)) {
        auto counters = create_counters_map(rules);
        if (!counters)
            return fail(std::move(counters.error()));
        made.early = std::move(*counters);
    }
    const auto counting = Counting::of_data(
        written.block.arena().map(), made.tally.get(), made.early.get(), rules,
        {.place = written.counting.place, .stride = written.counting.stride, .cpus = written.cpus});
    if (!counting)
        return fail(counting.error());
    made.counting = *counting;
    return made;
}

// At least so much of it will be on its user's account.
std::size_t account_of(const ir::Table &table, const TablePlan &plan)
{
    return Arenas::account(plan.bytes()) +
           tally_size(static_cast<std::uint32_t>(table.rules.size()));
}

bpfilter_commit_records describe_records(const ir::Table &table, const TablePlan &plan,
                                         const WrittenTable &written, const Tally &tally)
{
    std::vector<HookProgram> hooks;
    bpfilter_commit_records records{};
    for (std::size_t i = 0; i < ir::hook_count; ++i) {
        if (!table.hooks[i])
            continue;
        hooks.push_back({static_cast<ir::Hook>(i), written.hooks[i].program});
        records.root[i] = written.hooks[i].root;
    }
    std::vector<int> kept{written.block.arena().map(), tally.tally.get()};
    if (tally.early)
        kept.push_back(tally.early.get());
    records.commit = describe(table, hooks, kept);
    records.commit.flags |= context_flags(codegen::use_of(parts_of_hooks(plan.wants)));
    records.element_size = element_size;
    records.bytes = written.block.account();
    return records;
}

// The programs and the arena, which many tables share, the helper holds itself: a few descriptors,
// however many tables there are.
Result<TableState> put_data_in_force(blob::DecodedTable decoded, const pipe::Request &request,
                                     pipe::Kernel &kernel, Arenas &arenas)
{
    const auto plan = plan_table(decoded.table);
    if (!plan)
        return fail(plan.error());
    // An arena is memory that is taken, and written to, whatever comes of the commit.
    if (auto room = kernel.room(request.header.id, account_of(decoded.table, *plan)); !room)
        return fail(std::move(room.error()));
    auto written = write_table(arenas, decoded.table, *plan);
    if (!written)
        return fail(std::move(written.error()));
    const auto tally = make_tally(decoded.table, *written);
    if (!tally)
        return fail(tally.error());
    bpfilter_commit_records records = describe_records(decoded.table, *plan, *written, *tally);
    records.commit.id = request.header.id;
    records.commit.context_fd = arenas.elements();
    TableState state(std::move(decoded), tally->counting, std::move(written->block));
    if (auto done = kernel.commit_records(records); !done)
        return fail(std::move(done.error()));
    return state;
}

plan::Form form_of(const ir::Table &table, bpfilter_form asked)
{
    switch (asked) {
    case BPFILTER_FORM_CODE:
        return plan::Form::code;
    case BPFILTER_FORM_DATA:
        return plan::Form::data;
    case BPFILTER_FORM_AUTO:
        break;
    }
    return plan::form_of(table);
}

} // namespace

bool wants_devices(const ir::Table &table)
{
    return device_rules(table) > 0;
}

std::size_t rules_with_text(const ir::Table &table, const Settings &settings)
{
    if (form_of(table, settings.form) == plan::Form::code)
        return table.rules.size();
    return device_rules(table);
}

Result<TableState> put_in_force(blob::DecodedTable decoded, const pipe::Request &request,
                                pipe::Kernel &kernel, const Settings &settings, Arenas &arenas)
{
    const bool as_data = !codegen::can_generate(decoded.table) ||
                         form_of(decoded.table, settings.form) == plan::Form::data;
    return as_data ? put_data_in_force(std::move(decoded), request, kernel, arenas)
                   : put_code_in_force(std::move(decoded), request, kernel);
}

} // namespace bpfilter::service
