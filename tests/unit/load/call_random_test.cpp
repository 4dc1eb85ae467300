// SPDX-License-Identifier: GPL-2.0
//
// Random tables that call instances, whose answers are dice: what becomes of a packet and what is
// counted is what the interpreter has, with the same answers.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/decision.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/random6.h"
#include "tests/unit/support/random_conditions.h"
#include "tests/unit/support/seed.h"
#include "tests/unit/support/written.h"
#include "umh/core/ir/evaluate.h"

#include <bpfilter/context.h>

#include <gtest/gtest.h>
#include <iostream>
#include <linux/if_packet.h>
#include <memory>

namespace bpfilter {
namespace {

using namespace test;

// What instances did with a packet.
struct Event {
    std::uint32_t instance = 0;
    ir::Answer answer{};                       // as a match
    std::optional<ir::Decision> decision = {}; // as a target
    PacketBytes packet;                        // behind it
    std::uint32_t mark = 0;
};

// Does as dice say, and notes it. Matches have even numbers, targets odd ones.
class Diced final : public Module {
public:
    Diced(Generator &packets, Dice &dice) : packets_(packets), dice_(dice) {}

    Answer call(std::uint32_t instance, CalledPacket &packet) override
    {
        Event event{.instance = instance, .packet = {}};
        Answer answer;
        if (instance % 2 == 0) {
            event.answer = dice_.one_in(20)  ? ir::Answer::hotdrop
                           : dice_.one_in(3) ? ir::Answer::no
                                             : ir::Answer::yes;
            answer.matches = event.answer == ir::Answer::yes;
            if (event.answer == ir::Answer::hotdrop)
                answer.verdict = BPFILTER_DROP;
        } else {
            if (dice_.one_in(10)) {
                event.decision = static_cast<ir::Decision>(dice_.below(3));
                answer.verdict = verdict_of(*event.decision);
            }
            if (dice_.one_in(2))
                packet.bytes = packets_.packet();
            if (dice_.one_in(2))
                packet.mark = dice_.below(4);
        }
        event.packet = packet.bytes;
        event.mark = packet.mark;
        events.push_back(event);
        return answer;
    }

    std::vector<Event> events;

private:
    Generator &packets_;
    Dice &dice_;
};

// The same answers once more.
class Replayed final : public ir::Instances {
public:
    Replayed(ir::Family family, const std::vector<Event> &events, ir::Surroundings around)
        : family_(family), events_(events), around_(around)
    {
    }

    ir::Answer match(std::uint32_t instance) override { return next(instance).answer; }

    std::optional<ir::Decision> target(std::uint32_t instance, ir::Key &key) override
    {
        const Event &event = next(instance);
        around_.mark = event.mark;
        key = ir::parse(family_, event.packet, around_);
        return event.decision;
    }

    [[nodiscard]] bool done() const { return !differs_ && at_ == events_.size(); }

private:
    const Event &next(std::uint32_t instance)
    {
        static const Event none{
            .answer = ir::Answer::hotdrop, .decision = ir::Decision::drop, .packet = {}};
        differs_ = differs_ || at_ == events_.size() || events_[at_].instance != instance;
        return differs_ ? none : events_[at_++];
    }

    ir::Family family_;
    const std::vector<Event> &events_;
    ir::Surroundings around_;
    std::size_t at_ = 0;
    bool differs_ = false; // another instance was called
};

class RandomCalls : public testing::TestWithParam<ir::Family> {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }

    // The Ethernet header of packets is not changed by instances.
    static ir::Surroundings surroundings_of(const Devices &devices, std::uint32_t mark)
    {
        ir::Surroundings around;
        devices.in.copy(around.in.data(), around.in.size() - 1);
        devices.out.copy(around.out.data(), around.out.size() - 1);
        around.quirks = devices.quirks;
        around.mark = mark;
        return around;
    }
};

TEST_P(RandomCalls, AreAsTheInterpreterHasThem)
{
    const std::uint64_t first = seed();
    const std::uint64_t tables = number_from("BPFILTER_TEST_TABLES", 60);
    const std::uint64_t count = number_from("BPFILTER_TEST_PACKETS", 100);
    Arenas arenas(test_run_l3);
    std::uint64_t called = 0;
    std::uint64_t counted = 0;

    for (std::uint64_t i = 0; i < tables; ++i) {
        const auto generator = make_generator(GetParam(), first + i);
        Dice dice(first + i);
        ConditionGenerator conditions(first + i, GetParam());
        conditions.use_instances();
        for (int n = 0; n < 40; ++n)
            conditions.learn(ir::parse(GetParam(), generator->packet(),
                                       surroundings_of(generator->device_pair(), dice.below(4))));
        const ir::Table table = conditions.table();
        Written written(arenas, table);
        std::vector<ir::Counters> counters(table.rules.size());
        for (std::uint64_t n = 0; n < count; ++n) {
            const PacketBytes packet = generator->packet();
            ir::Surroundings around = surroundings_of(generator->device_pair(), dice.below(4));
            around.packet_type = dice.one_in(2) ? PACKET_HOST : PACKET_MULTICAST;
            around.cpu = n % written.table().cpus;
            const auto hook = static_cast<ir::Hook>(1 + n % 3);
            Diced module(*generator, dice);
            const std::uint32_t verdict = written.run(
                hook, packet, around, n % written.table().cpus, &module, n % BPFILTER_NESTING);
            Replayed replayed(GetParam(), module.events, around);
            const ir::Outcome outcome =
                evaluate(table, hook, ir::parse(GetParam(), packet, around), &replayed);
            ASSERT_TRUE(replayed.done())
                << "table " << i << ", packet " << n << ": " << describe(packet) << "\n"
                << text(table);
            ASSERT_EQ(verdict, verdict_of(outcome.decision))
                << "table " << i << ", packet " << n << ": " << describe(packet) << "\n"
                << text(table);
            for (const auto &[rule, bytes] : outcome.counted)
                counters[rule] += {1, bytes};
            called += module.events.size();
            counted += outcome.counted.size();
        }
        ASSERT_EQ(test::difference(table, written.counters(), counters), "")
            << "table " << i << "\n"
            << text(table);
    }
    EXPECT_GT(called, tables * count) << "the random tables call nothing";
    std::cout << tables << " tables, " << tables * count << " packets, " << counted << " counted, "
              << called << " calls\n";
}

INSTANTIATE_TEST_SUITE_P(Families, RandomCalls, testing::Values(ir::Family::ipv4, ir::Family::ipv6),
                         [](const auto &family) {
                             return family.param == ir::Family::ipv6 ? "ipv6" : "ipv4";
                         });

} // namespace
} // namespace bpfilter
