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
#include <optional>
#include <span>
#include <vector>

namespace bpfilter::test {

// Where test_run shows the IP header: behind the Ethernet header.
inline constexpr std::uint32_t test_run_l3 = 14;

// What the module does with a packet that an instance is called for.
struct CalledPacket {
    PacketBytes bytes;
    std::uint32_t mark = 0;
    std::uint32_t packet_type = 0; // PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST
};

class Module {
public:
    virtual ~Module() = default;
    // What the instance answers, or what becomes of the packet.
    struct Answer {
        std::optional<std::uint32_t> verdict;
        bool matches = false;
    };
    virtual Answer call(std::uint32_t instance, CalledPacket &packet) = 0;
};

class Written {
public:
    // Throws std::runtime_error if it cannot be written or loaded.
    Written(Arenas &arenas, const ir::Table &table);

    // The verdict; more than `runs_max` runs: 256. `cpu`: for which it is counted; `depth`: how
    // many other hooks this one is met within.
    std::uint32_t run(ir::Hook hook, const PacketBytes &packet, const ir::Surroundings &around,
                      std::uint32_t cpu = 0, Module *module = nullptr, std::uint32_t depth = 0);
    // What the parser left of a packet: the words of the key.
    [[nodiscard]] std::vector<std::uint32_t> key(std::uint32_t cpu = 0,
                                                 std::uint32_t depth = 0) const;
    [[nodiscard]] std::vector<ir::Counters> counters() const;
    [[nodiscard]] std::uint64_t runs() const { return runs_; }
    // The mark of the last packet.
    [[nodiscard]] std::uint32_t mark() const { return mark_; }
    [[nodiscard]] const WrittenTable &table() const { return written_; }

    static constexpr unsigned runs_max = 1 << 16;

private:
    [[nodiscard]] std::span<std::byte> element(std::uint32_t number) const;
    std::uint32_t run_once(int program, std::uint32_t element, CalledPacket &packet);

    std::size_t rules_;
    std::uint16_t ether_type_;
    WrittenTable written_;
    Mapping elements_;
    std::uint64_t runs_ = 0;
    std::uint32_t mark_ = 0;
};

} // namespace bpfilter::test
