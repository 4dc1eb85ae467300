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

// An IPv4 address of this machine, or a prefix, in network byte order.
struct LocalPrefix {
    std::array<std::byte, 4> address{};
    std::uint32_t length = 32;
    bool local = true; // packets to it come to INPUT
    auto operator<=>(const LocalPrefix &) const = default;
};

// bf_local: LPM trie of prefixes; its values are bytes, not 0 if they are local.
Result<UniqueFd> create_local_map();
Result<> set_local(int map, const LocalPrefix &prefix);
Result<> unset_local(int map, const LocalPrefix &prefix);

// bf_guard: array of one number, 0. What it guards drops nothing until it is another.
Result<UniqueFd> create_guard_map();

} // namespace bpfilter
