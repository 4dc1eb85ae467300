// SPDX-License-Identifier: GPL-2.0
//
// Programs under test: loaded into this machine's kernel and run with BPF_PROG_TEST_RUN.
//
// test_run builds its sk_buff from a frame and shows the program its Ethernet header, which
// a netfilter hook does not: the backend under test is netfilter's with L3 at offset 14.
#pragma once

#include "tests/unit/support/packet.h"
#include "tests/unit/support/reference.h"
#include "umh/codegen/backend.h"
#include "umh/core/ir/counters.h"
#include "umh/core/ir/table.h"
#include "umh/util/fd.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::test {

// Empty if programs can be loaded here; else why not, for GTEST_SKIP().
std::string why_no_bpf();

extern const codegen::Backend test_run;

// One hook of a table, loaded with maps of its own. Throws std::runtime_error with the
// loader's message if it does not load.
class LoadedHook {
public:
    LoadedHook(const ir::Table &table, ir::Hook hook);

    std::uint32_t run(const PacketBytes &packet, const Devices &devices);
    // Nanoseconds for one run, averaged by the kernel over `repeat` runs.
    std::uint32_t time(const PacketBytes &packet, std::uint32_t repeat);
    [[nodiscard]] std::vector<ir::Counters> counters() const;
    [[nodiscard]] int program() const { return program_.get(); }

private:
    void name_devices(const Devices &devices);
    [[nodiscard]] PacketBytes frame(const PacketBytes &packet) const;

    std::uint16_t ether_type_;
    std::uint32_t rules_;
    std::uint32_t context_size_;
    UniqueFd context_;
    UniqueFd counters_;
    UniqueFd base_;
    UniqueFd program_;
    Devices named_{"none yet", ""};
};

// A run of any program on these bytes: its return value. Throws if test_run fails.
struct TestRun {
    std::uint32_t result = 0;
    std::uint32_t nanoseconds = 0;
};
TestRun run_program(int program, const PacketBytes &frame, std::uint32_t repeat = 1,
                    std::uint32_t mark = 0);

} // namespace bpfilter::test
