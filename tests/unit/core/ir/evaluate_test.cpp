// SPDX-License-Identifier: GPL-2.0
//
// The naive interpreter, over keys and lowered conditions, and the reference, which asks the packet
// itself what the test said: they agree on every verdict and every rule counted. So what extensions
// are lowered to, what keys are filled with and how conditions are asked are right, or wrong in
// the same way in two sources that share nothing. BPFILTER_SEED repeats a run,
// BPFILTER_TEST_TABLES sets how many tables there are.
#include "tests/unit/support/decision.h"
#include "tests/unit/support/key.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/random6.h"
#include "tests/unit/support/seed.h"
#include "umh/core/ir/evaluate.h"

#include <gtest/gtest.h>

#include <memory>

namespace bpfilter::test {

namespace {

class Evaluate : public testing::TestWithParam<ir::Family> {};

std::vector<ir::Counted> counted(const Outcome &outcome, const PacketBytes &packet)
{
    std::vector<ir::Counted> list;
    for (const ir::RuleId rule : outcome.counted)
        list.push_back({rule, static_cast<std::uint32_t>(packet.size())});
    return list;
}

TEST_P(Evaluate, AgreesWithTheReference)
{
    const std::uint64_t first = seed();
    const std::uint64_t tables = number_from("BPFILTER_TEST_TABLES", 300);
    std::array<std::size_t, 3> decisions{};
    for (std::uint64_t i = 0; i < tables; ++i) {
        const auto random = make_generator(GetParam(), first + i);
        const BuiltTable table = random->table();
        for (int n = 0; n < 200; ++n) {
            const PacketBytes packet = random->packet();
            const Devices devices = random->device_pair();
            const ir::Key key = key_of(GetParam(), packet, devices);
            for (const ir::Hook hook :
                 {ir::Hook::local_in, ir::Hook::forward, ir::Hook::local_out}) {
                const Outcome expected = judge(table, hook, packet, devices);
                const ir::Outcome got = ir::evaluate(table, hook, key);
                ASSERT_EQ(verdict_of(got.decision), expected.verdict)
                    << "table " << i << ", packet " << n << ": " << describe(packet) << " in "
                    << devices.in << " out " << devices.out << '\n'
                    << ir::text(table);
                ASSERT_EQ(got.counted, counted(expected, packet))
                    << "table " << i << ", packet " << n << ": " << describe(packet) << '\n'
                    << ir::text(table);
                ++decisions.at(static_cast<std::size_t>(got.decision));
            }
        }
    }
    for (const std::size_t count : decisions)
        EXPECT_GT(count, 0U) << "the packets were no test";
}

// All parts of a packet that a key holds are of this packet: two that differ in nothing a rule
// can ask have equal keys.
TEST_P(Evaluate, KeysOfOnePacketAreEqual)
{
    const auto random = make_generator(GetParam(), seed());
    for (int n = 0; n < 100; ++n) {
        const PacketBytes packet = random->packet();
        const Devices devices = random->device_pair();
        EXPECT_EQ(key_of(GetParam(), packet, devices), key_of(GetParam(), packet, devices));
    }
}

INSTANTIATE_TEST_SUITE_P(Families, Evaluate, testing::Values(ir::Family::ipv4, ir::Family::ipv6));

} // namespace

} // namespace bpfilter::test
