// SPDX-License-Identifier: GPL-2.0
//
// counters: where a table counts, whatever its form. The module keeps the descriptors with the
// table, so whoever has them can read it.
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

class Counting {
public:
    Counting() = default;

    // As code: bf_counters and bf_base.
    static Counting of_code(UniqueFd counters, UniqueFd base);
    // As data: an arena of which it holds a descriptor, a bf_tally that is zero, and bf_counters
    // or nothing. The tally is filled in.
    static Result<Counting> of_data(UniqueFd arena, UniqueFd tally, UniqueFd counters,
                                    std::uint32_t rules, const TallyPlace &place);
    // Of what fds() gave, in that order.
    static Result<Counting> of_kept(std::vector<UniqueFd> fds);

    // For the module to keep.
    [[nodiscard]] std::vector<int> fds() const;
    // bf_counters, or -1.
    [[nodiscard]] int counters() const { return counters_.get(); }

    // The counts of rules 0 to count - 1.
    [[nodiscard]] Result<std::vector<ir::Counters>> read(std::uint32_t count) const;
    // Adds to rules 0 to added.size() - 1.
    Result<> add(std::span<const ir::Counters> added);

    // As data: from now on it is not read in the arena any more, since nothing counts there. Until
    // this is done to the end nothing is different. As code: nothing.
    Result<> leave_arena();

private:
    [[nodiscard]] Result<std::vector<ir::Counters>> read_tally(std::uint32_t count) const;

    UniqueFd counters_;
    UniqueFd base_; // or bf_tally
    UniqueFd arena_;
};

} // namespace bpfilter
