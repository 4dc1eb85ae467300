// SPDX-License-Identifier: GPL-2.0
//
// Random tables and random packets: the program and the naive interpreter agree on every
// verdict and every counter. BPFILTER_SEED repeats a run, BPFILTER_TEST_TABLES sets
// how many tables there are.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/random6.h"
#include "tests/unit/support/seed.h"

#include <gtest/gtest.h>
#include <memory>
#include <random>

namespace bpfilter {
namespace {

using namespace test;

class Random : public testing::TestWithParam<std::tuple<ir::Family, ir::Hook>> {};

TEST_P(Random, AgreesWithTheReference)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    const std::uint64_t first = seed();
    const std::uint64_t tables = number_from("BPFILTER_TEST_TABLES", 60);

    const auto [family, hook_id] = GetParam();
    for (std::uint64_t i = 0; i < tables; ++i) {
        const auto generator =
            make_generator(family, first + i * 3 + static_cast<std::uint64_t>(hook_id));
        const BuiltTable table = generator->table();
        LoadedHook hook(table, hook_id);
        std::vector<ir::Counters> counters(table.rules.size());
        for (int n = 0; n < 150; ++n) {
            const PacketBytes packet = generator->packet();
            const Devices devices = generator->device_pair();
            const std::uint32_t expected =
                judge_and_count(table, hook_id, packet, devices, counters);
            ASSERT_EQ(hook.run(packet, devices), expected)
                << "table " << i << ", packet " << n << ": " << describe(packet) << " in "
                << devices.in << " out " << devices.out;
            if (n % 50 == 0) {
                ASSERT_EQ(difference(table, hook.counters(), counters), "")
                    << "table " << i << ", packet " << n << ": " << describe(packet);
            }
        }
        ASSERT_EQ(difference(table, hook.counters(), counters), "") << "table " << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Hooks, Random,
                         testing::Combine(testing::Values(ir::Family::ipv4, ir::Family::ipv6),
                                          testing::Values(ir::Hook::local_in, ir::Hook::forward,
                                                          ir::Hook::local_out)));

} // namespace
} // namespace bpfilter
