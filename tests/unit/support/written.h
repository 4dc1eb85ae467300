// SPDX-License-Identifier: GPL-2.0
//
// A table as data under test: written into an arena of its own or of others, and walked with
// BPF_PROG_TEST_RUN, run again as often as the program asks for it, as the module does it.
#pragma once

#include "tests/unit/support/packet.h"
#include "umh/core/ir/counters.h"
#include "umh/core/ir/key.h"
#include "umh/core/ir/table.h"
#include "umh/load/arena.h"
#include "umh/load/records.h"
#include "umh/util/mapping.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter::test {

// Where test_run shows the IP header: behind the Ethernet header.
inline constexpr std::uint32_t test_run_l3 = 14;

class Written {
public:
    // Throws std::runtime_error if it cannot be written or loaded.
    Written(Arenas &arenas, const ir::Table &table);

    // The verdict; more than `runs_max` runs: 256. `cpu`: for which it is counted.
    std::uint32_t run(ir::Hook hook, const PacketBytes &packet, const ir::Surroundings &around,
                      std::uint32_t cpu = 0);
    // What the parser left of a packet: the words of the key.
    [[nodiscard]] std::vector<std::uint32_t> key(std::uint32_t cpu = 0) const;
    [[nodiscard]] std::vector<ir::Counters> counters() const;
    [[nodiscard]] std::uint64_t runs() const { return runs_; }
    [[nodiscard]] const WrittenTable &table() const { return written_; }

    static constexpr unsigned runs_max = 1 << 16;

private:
    [[nodiscard]] std::span<std::byte> element(std::uint32_t cpu) const;

    std::size_t rules_;
    std::uint16_t ether_type_;
    WrittenTable written_;
    Mapping elements_;
    std::uint64_t runs_ = 0;
};

} // namespace bpfilter::test
