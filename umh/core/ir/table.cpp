// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/table.h"

#include "umh/core/ir/names.h"
#include "umh/util/deadline.h"

#include <fmt/format.h>

namespace bpfilter::ir {

Parts parts_of(const Table &table)
{
    Parts parts;
    for (const Rule &rule : table.rules) {
        Deadline::look(rule.conditions.words() + 1);
        parts |= parts_of(rule.conditions);
    }
    return parts;
}

std::string text(const Table &table)
{
    std::string lines =
        fmt::format("{} {} depth {}\n", table.name, table.family == Family::ipv6 ? "ipv6" : "ipv4",
                    table.stack_depth);
    for (std::size_t i = 0; i < hook_count; ++i) {
        if (const auto &hook = table.hooks[i])
            lines += fmt::format("{} {} policy {}\n", chain_name(static_cast<Hook>(i)), hook->entry,
                                 hook->underflow);
    }
    for (const Rule &rule : table.rules)
        lines += fmt::format("{}: {} -> {}\n", rule.id, text(rule.conditions), text(rule.verdict));
    return lines;
}

} // namespace bpfilter::ir
