// SPDX-License-Identifier: GPL-2.0
//
// The request: the header of a SET_REPLACE (struct ipt_replace) and its entries, as bytes.
#pragma once

#include "umh/core/blob/layout.h"
#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <array>
#include <cstdint>
#include <string>

namespace bpfilter::blob {

using HookOffsets = std::array<std::uint32_t, ir::hook_count>;

struct Request {
    std::string table;
    std::uint32_t valid_hooks = 0;
    std::uint32_t num_entries = 0;
    std::uint32_t num_counters = 0;
    HookOffsets hook_entry{};
    HookOffsets underflow{};
    Bytes entries; // `size` bytes of the payload

    bool has(std::size_t hook) const { return valid_hooks & (1U << hook); }
};

// The payload may be longer than it says. EINVAL: shorter, or no counters; ENOMEM: larger
// than ip_tables would try.
Result<Request> read_request(Bytes payload, const Layout &layout);

} // namespace bpfilter::blob
