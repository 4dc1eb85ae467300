// SPDX-License-Identifier: GPL-2.0
//
// counters: where a table counts, whatever its form. The module keeps the maps with the table, so
// no descriptor is held here, but their numbers.
//
// A table as code counts in bf_counters. One as data counts in its part of an arena, for which
// bf_tally says where that is. Packets that XDP drops are counted in bf_counters all the same.
#pragma once

#include "umh/core/ir/counters.h"
#include "umh/util/fd.h"
#include "umh/util/mapping.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace bpfilter {

// Where the counters of a table are in an arena: of CPU 0 at `place`, of others `stride` behind.
struct TallyPlace {
    std::uint32_t place = 0;
    std::uint32_t stride = 0;
    std::uint32_t cpus = 0;
};

// The bytes of a bf_tally for so many rules.
std::size_t tally_size(std::uint32_t rules);

// What has been counted in an arena is put into the tally, and is not read in the arena any more.
// Made while nothing is different yet, so that nothing can fail when it is done.
class ArenaLeave {
public:
    // Of a table that is in no arena.
    ArenaLeave() = default;
    ArenaLeave(Mapping tally, Mapping counted)
        : tally_(std::move(tally)), counted_(std::move(counted))
    {
    }

    // Nothing counts there any more.
    void finish() noexcept;

private:
    Mapping tally_;
    Mapping counted_;
};

class Counting {
public:
    Counting() = default;

    // Of maps that the module holds, or will when this counts. As code: bf_counters and bf_base.
    static Result<Counting> of_code(int counters, int base);
    // As data: an arena, a bf_tally that is zero, and bf_counters or -1. The tally is filled in.
    static Result<Counting> of_data(int arena, int tally, int counters, std::uint32_t rules,
                                    const TallyPlace &place);
    // Of the descriptors that the module has kept: those that either was made of, in that order,
    // without one that is -1.
    static Result<Counting> of_kept(std::span<const UniqueFd> fds);

    // bf_counters; ENOENT: it has none.
    [[nodiscard]] Result<UniqueFd> open_counters() const;

    // The counts of rules 0 to count - 1.
    [[nodiscard]] Result<std::vector<ir::Counters>> read(std::uint32_t count) const;
    // Adds to rules 0 to added.size() - 1.
    [[nodiscard]] Result<> add(std::span<const ir::Counters> added) const;

    [[nodiscard]] Result<ArenaLeave> leave_arena() const;

private:
    static Result<Counting> of_maps(int arena, int tally, int counters);
    [[nodiscard]] Result<std::vector<ir::Counters>> read_code(std::uint32_t count) const;
    [[nodiscard]] Result<std::vector<ir::Counters>> read_tally(std::uint32_t count) const;

    // Numbers of maps; 0 is none.
    std::uint32_t counters_ = 0;
    std::uint32_t base_ = 0; // or bf_tally
    std::uint32_t arena_ = 0;
};

} // namespace bpfilter
