// SPDX-License-Identifier: GPL-2.0
#include "umh/core/plan/form.h"

#include "umh/core/ir/flow.h"

namespace bpfilter::plan {

namespace {

// A large chain is seen without going through the table.
bool is_short(const ir::Table &table, ir::Hook hook, const ir::HookEntry &entry)
{
    if (entry.underflow - entry.entry >= code_rules && table.rules.size() > code_rules)
        return false;
    const std::vector<ir::RuleId> rules = ir::find_flow(table, hook).rules;
    std::size_t words = 0;
    for (const ir::RuleId id : rules)
        words += table.rules[id].conditions.words();
    return rules.size() <= code_rules && words <= code_words;
}

} // namespace

Form form_of(const ir::Table &table)
{
    if (table.rules.size() > code_table_rules)
        return Form::data;
    for (std::size_t i = 0; i < ir::hook_count; ++i)
        if (const auto &hook = table.hooks[i];
            hook && !is_short(table, static_cast<ir::Hook>(i), *hook))
            return Form::data;
    return Form::code;
}

} // namespace bpfilter::plan
