// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/table.h"

#include "umh/core/blob/canonical.h"
#include "umh/core/blob/chains.h"
#include "umh/core/blob/entry.h"
#include "umh/core/blob/reach.h"
#include "umh/core/blob/rules.h"
#include "umh/core/extension/text.h"
#include "umh/util/deadline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace bpfilter::blob {

namespace {

// What do_replace asks once the blob is good.
Result<const TableProperties *> check_table(const Request &request)
{
    if (request.num_counters > max_table_size / counters_size)
        return fail(ENOMEM, fmt::format("too many counters: {}", request.num_counters));
    auto properties = find_table(request.table);
    if (properties && (*properties)->valid_hooks != request.valid_hooks)
        return fail(EINVAL,
                    fmt::format("hooks {:#x} for table {}, which has {:#x}", request.valid_hooks,
                                request.table, (*properties)->valid_hooks));
    return properties;
}

bool is_policy(const ir::Table &table, ir::RuleId id)
{
    return std::ranges::any_of(table.hooks,
                               [id](const auto &hook) { return hook && hook->underflow == id; });
}

void set_hooks(DecodedTable &decoded, const Request &request, const HookTable &hooks)
{
    decoded.hook_entry.fill(no_offset);
    decoded.underflow.fill(no_offset);
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        if (!request.has(hook))
            continue;
        decoded.hook_entry[hook] = request.hook_entry[hook];
        decoded.underflow[hook] = request.underflow[hook];
        decoded.table.hooks[hook] = ir::HookEntry{
            .entry = hooks[hook].entry,
            .underflow = hooks[hook].underflow,
            .priority = decoded.properties->priority[hook],
            .nat = decoded.properties->nat,
            .reroute = (decoded.properties->reroutes >> hook & 1) != 0,
        };
    }
}

void set_texts(ir::Table &table, const Entries &entries, const Chains &chains,
               const RulesWithText &with_text)
{
    const std::size_t count = with_text ? with_text(table) : table.rules.size();
    for (auto &rule : table.rules) {
        Deadline::look();
        if (rule.id >= count) {
            rule.text = {};
            continue;
        }
        rule.text = rule_text(entries.list[rule.id], rule, chains, is_policy(table, rule.id));
        rule.text.shrink_to_fit();
    }
}

// The entries of a request, which it refers to, in the memory that it lies in.
std::vector<std::byte> take_entries(std::vector<std::byte> memory, Bytes entries)
{
    std::memmove(memory.data(), entries.data(), entries.size());
    memory.resize(entries.size());
    return memory;
}

// The request lies in `memory`.
Result<DecodedTable> decode(const Request &request, std::vector<std::byte> memory,
                            const Layout &layout, std::vector<KernelEntry> &checks,
                            const RulesWithText &with_text)
{
    auto entries = walk_entries(request, layout);
    if (!entries)
        return fail(std::move(entries.error()));
    const auto hooks = check_hooks(request, *entries);
    if (!hooks)
        return fail(hooks.error());
    const auto reach = mark_reach(request, *entries, *hooks);
    if (!reach)
        return fail(reach.error());
    Chains chains = find_chains(request, *entries, *hooks);
    auto rules = decode_rules({layout, request.table, *entries, *reach, chains}, checks);
    if (!rules)
        return fail(std::move(rules.error()));
    const auto properties = check_table(request);
    if (!properties)
        return fail(properties.error());

    DecodedTable decoded;
    decoded.layout = &layout;
    decoded.properties = *properties;
    decoded.num_counters = request.num_counters;
    decoded.table.name = request.table;
    decoded.table.family = layout.family;
    decoded.table.stack_depth = entries->errors;
    decoded.table.rules = std::move(rules->list);
    set_hooks(decoded, request, *hooks);
    set_texts(decoded.table, *entries, chains, with_text);
    const auto at = static_cast<std::size_t>(request.entries.data() - memory.data());
    make_canonical(MutableBytes(memory).subspan(at, request.entries.size()), *entries, rules->uses,
                   layout, *reach);
    decoded.entries = take_entries(std::move(memory), request.entries);
    decoded.table.chains = std::move(chains.list);
    decoded.offsets = std::move(entries->offsets);
    return decoded;
}

} // namespace

Result<DecodedTable> decode_replace(std::vector<std::byte> message, std::size_t before,
                                    const Layout &layout, std::vector<KernelEntry> &checks,
                                    const RulesWithText &with_text)
{
    const auto request = read_request(Bytes(message).subspan(before), layout);
    if (!request)
        return fail(request.error());
    return decode(*request, std::move(message), layout, checks, with_text);
}

Result<DecodedTable> decode_replace(Bytes payload, const Layout &layout)
{
    std::vector<KernelEntry> checks;
    return decode_replace(std::vector(payload.begin(), payload.end()), 0, layout, checks);
}

} // namespace bpfilter::blob
