// SPDX-License-Identifier: GPL-2.0
//
// The way in: from the payload of a SET_REPLACE to a table as values.
//
// Every check of do_replace and translate_table is made here, in the kernel's order, the
// first failure deciding the errno: header, entries, hooks, loops, extensions, and only
// then the table's name (ENOENT) and its hooks (EINVAL). What remains for the caller is
// what depends on the table in force: EAGAIN if `num_counters` is not its number of rules.
//
// A match or target that is not in our list is the kernel's (rules.h): what the kernel says of the
// entries that use one comes before what is wrong behind them. So these entries are told, whether
// the rest is good or not.
#pragma once

#include "umh/core/blob/layout.h"
#include "umh/core/blob/request.h"
#include "umh/core/blob/rules.h"
#include "umh/core/blob/tables.h"
#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace bpfilter::blob {

struct DecodedTable {
    ir::Table table;
    const Layout *layout = nullptr;
    const TableProperties *properties = nullptr;

    // What GET_INFO tells. Slots of hooks that the table does not have are no_offset.
    HookOffsets hook_entry{};
    HookOffsets underflow{};

    // What GET_ENTRIES gives back: as the caller gave it, with `comefrom` set, counters zero,
    // and whatever no extension knows zeroed.
    std::vector<std::byte> entries;
    std::vector<std::uint32_t> offsets; // of each rule in it

    std::uint32_t num_counters = 0; // of the request
};

// The payload may be longer than the request; the `counters` pointer in it is not used.
Result<DecodedTable> decode_replace(Bytes payload, const Layout &layout);

// Of how many rules, from the first on, the text is made. What nobody reads is not written: it
// takes as long as all the rest.
using RulesWithText = std::function<std::size_t(const ir::Table &)>;

// The same of a message that begins with something else, `before` bytes of it. It becomes the
// table's entries: there is no other copy. `checks`: what the kernel is to check, before whatever
// the error is; none, if that is of the table as a whole. Without `with_text` all rules have
// theirs.
Result<DecodedTable> decode_replace(std::vector<std::byte> message, std::size_t before,
                                    const Layout &layout, std::vector<KernelEntry> &checks,
                                    const RulesWithText &with_text = {});

} // namespace bpfilter::blob
