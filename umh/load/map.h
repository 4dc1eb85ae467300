// SPDX-License-Identifier: GPL-2.0
//
// load: the maps of a table. Names are what bpftool shows.
#pragma once

#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bpfilter {

// Maps by number, for whoever keeps no descriptor: the module holds them.
Result<std::uint32_t> map_id(int fd);
Result<UniqueFd> open_map(std::uint32_t id);

// bf_context: per-CPU array of one element, value_size from codegen::context_size().
Result<UniqueFd> create_context_map(std::uint32_t value_size);

// bf_counters: per-CPU array of ir::Counters by rule id, zero. Written by programs only.
Result<UniqueFd> create_counters_map(std::uint32_t rules);

// bf_base: array of ir::Counters by rule id, zero. Written by the helper only.
Result<UniqueFd> create_base_map(std::uint32_t rules);

// Memory: an array of one element of this size, zero, which can be mapped.
Result<UniqueFd> create_memory_map(const char *name, std::uint32_t size);

// An IPv4 prefix that is local to this machine, address in network byte order.
struct LocalPrefix {
    std::array<std::byte, 4> address{};
    std::uint32_t length = 32;
    auto operator<=>(const LocalPrefix &) const = default;
};

// bf_local: LPM trie of the prefixes.
Result<UniqueFd> create_local_map(std::span<const LocalPrefix> prefixes);

} // namespace bpfilter
