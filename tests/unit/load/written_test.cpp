// SPDX-License-Identifier: GPL-2.0
//
// Random tables as data, of all that conditions can say, and random packets of both families:
// the walker and the naive interpreter agree on every verdict and every counter, and the parser in
// C and the one that is written for reading on every word of the key that was asked for.
// BPFILTER_SEED repeats a run, BPFILTER_TEST_TABLES and BPFILTER_TEST_PACKETS say how many.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/decision.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/random6.h"
#include "tests/unit/support/random_conditions.h"
#include "tests/unit/support/seed.h"
#include "tests/unit/support/written.h"
#include "umh/bpf/record.h"
#include "umh/core/ir/evaluate.h"

#include <gtest/gtest.h>

#include <array>
#include <linux/if_packet.h>
#include <memory>

namespace bpfilter {
namespace {

using namespace test;

class Walker : public testing::TestWithParam<ir::Family> {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }

    // Fields of those parts that differ, by name.
    static std::string difference(const ir::Key &expected, const std::vector<std::uint32_t> &got,
                                  ir::Parts parts)
    {
        std::string text;
        for (std::size_t i = 0; i < ir::field_count; ++i) {
            const ir::FieldRow &field = row(static_cast<ir::Field>(i));
            const std::uint32_t wanted = expected[static_cast<ir::Field>(i)];
            if (parts.has(field.part) && got[field.place] != wanted)
                text += std::string(field.name) + " is " + std::to_string(got[field.place]) +
                        ", expected " + std::to_string(wanted) + "; ";
        }
        if (!parts.has(ir::Part::route))
            return text;
        const std::size_t words = expected[ir::Field::routing_addresses] * 4;
        const auto first = static_cast<std::ptrdiff_t>(ir::key_fields);
        if (!std::equal(got.begin() + first,
                        got.begin() + first + static_cast<std::ptrdiff_t>(words),
                        expected.words().begin() + first))
            text += "the addresses of the route differ";
        return text;
    }
};

constexpr std::array<std::uint32_t, 3> packet_types{PACKET_HOST, PACKET_MULTICAST,
                                                    PACKET_OTHERHOST};

ir::Surroundings surroundings_of(const Devices &devices, const PacketBytes &frame)
{
    ir::Surroundings around;
    devices.in.copy(around.in.data(), around.in.size() - 1);
    devices.out.copy(around.out.data(), around.out.size() - 1);
    around.link = devices.link;
    around.quirks = devices.quirks;
    around.frame = frame;
    return around;
}

TEST_P(Walker, AgreesWithTheInterpreter)
{
    const std::uint64_t first = seed();
    const std::uint64_t tables = number_from("BPFILTER_TEST_TABLES", 60);
    const std::uint64_t count = number_from("BPFILTER_TEST_PACKETS", 150);
    const std::uint16_t ether_type = GetParam() == ir::Family::ipv6 ? 0x86dd : 0x0800;
    Arenas arenas(test_run_l3);
    std::uint64_t counted = 0;

    for (std::uint64_t i = 0; i < tables; ++i) {
        const auto generator = make_generator(GetParam(), first + i);
        ConditionGenerator conditions(first + i, GetParam());
        for (int n = 0; n < 40; ++n) {
            const PacketBytes packet = generator->packet();
            const PacketBytes frame = ethernet(packet, {}, ether_type);
            conditions.learn(
                ir::parse(GetParam(), packet, surroundings_of(generator->device_pair(), frame)));
        }
        const ir::Table table = conditions.table();
        Written written(arenas, table);
        const records::HookWants wants = records::wants_of(table);
        std::vector<ir::Counters> counters(table.rules.size());
        for (std::uint64_t n = 0; n < count; ++n) {
            const PacketBytes packet = generator->packet();
            const PacketBytes frame = ethernet(packet, {}, ether_type);
            ir::Surroundings around = surroundings_of(generator->device_pair(), frame);
            const std::uint32_t cpu = n % written.table().cpus;
            around.packet_type = packet_types[n / 2 % packet_types.size()];
            around.cpu = cpu;
            const ir::Key key = ir::parse(GetParam(), packet, around);
            const auto hook = static_cast<ir::Hook>(1 + n % 3);
            const ir::Outcome outcome = evaluate(table, hook, key);
            ASSERT_EQ(written.run(hook, packet, around, cpu), verdict_of(outcome.decision))
                << "table " << i << ", packet " << n << ": " << describe(packet) << " in "
                << around.in.data() << " out " << around.out.data() << "\n"
                << text(table);
            ASSERT_EQ(
                difference(key, written.key(cpu), wants[static_cast<std::size_t>(hook)].parts), "")
                << "table " << i << ", packet " << n << ": " << describe(packet);
            for (const auto &[rule, bytes] : outcome.counted)
                counters[rule] += {1, bytes};
            counted += outcome.counted.size();
        }
        ASSERT_EQ(test::difference(table, written.counters(), counters), "")
            << "table " << i << "\n"
            << text(table);
    }
    // The random tables are worth something: of a packet, rules are counted, not its policy alone.
    EXPECT_GT(counted, tables * count);
    std::cout << tables << " tables, " << tables * count << " packets, " << counted << " counted\n";
}

INSTANTIATE_TEST_SUITE_P(Families, Walker, testing::Values(ir::Family::ipv4, ir::Family::ipv6),
                         [](const auto &family) {
                             return family.param == ir::Family::ipv6 ? "ipv6" : "ipv4";
                         });

} // namespace
} // namespace bpfilter
