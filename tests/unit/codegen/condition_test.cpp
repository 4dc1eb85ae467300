// SPDX-License-Identifier: GPL-2.0
//
// Conditions that no extension makes yet: every kind, over every field that a program has, in
// groups and around the end. Programs and the naive interpreter agree. BPFILTER_SEED repeats a run,
// BPFILTER_TEST_TABLES sets how many tables there are.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/key.h"
#include "tests/unit/support/random6.h"
#include "tests/unit/support/seed.h"
#include "umh/core/ir/evaluate.h"
#include "umh/core/ir/lower.h"

#include <gtest/gtest.h>

#include <memory>

namespace bpfilter::test {

namespace {

using ir::Field;

// What can be asked once these states were required.
struct Askable {
    std::vector<Field> required;
    std::vector<Field> fields;
};

const std::vector<Askable> askable4 = {
    {{},
     {Field::source, Field::destination, Field::length, Field::fragment, Field::tos, Field::ttl,
      Field::protocol, Field::in_0, Field::in_1, Field::in_2, Field::in_3, Field::out_0,
      Field::mark, Field::connection, Field::translation}},
    {{Field::ports}, {Field::source_port, Field::destination_port}},
    {{Field::pair}, {Field::source_port, Field::destination_port}},
    {{Field::ports}, {Field::word_0, Field::word_1}},
    {{Field::sctp}, {Field::destination_port, Field::word_1}},
    {{Field::tcp}, {Field::flags, Field::source_port, Field::destination_port}},
    {{Field::tcp, Field::tcp_options}, {Field::tcp_option_kinds_0, Field::tcp_option_kinds_7}},
};

const std::vector<Askable> askable6 = {
    {{},
     {Field::source, Field::source_3, Field::destination_1, Field::destination_2, Field::length,
      Field::tos, Field::ttl, Field::header_set, Field::in_0, Field::out_3, Field::mark,
      Field::connection, Field::translation}},
    {{Field::transport}, {Field::protocol}},
    {{Field::ports}, {Field::source_port, Field::destination_port}},
    {{Field::pair}, {Field::destination_port}},
    {{Field::sctp}, {Field::source_port, Field::word_0}},
    {{Field::tcp}, {Field::flags}},
    {{Field::mobility}, {Field::mobility_type}},
    {{Field::hop}, {Field::hop_length, Field::hop_options}},
    {{Field::dst}, {Field::dst_length, Field::dst_options}},
    {{Field::routing},
     {Field::routing_length, Field::routing_type, Field::routing_left, Field::routing_reserved,
      Field::routing_addresses}},
    {{Field::frag}, {Field::frag_id, Field::frag_bits}},
    {{Field::ah}, {Field::ah_spi, Field::ah_length, Field::ah_reserved}},
};

class Conditions {
public:
    Conditions(ir::Family family, std::uint64_t seed)
        : dice_(seed), askable_(family == ir::Family::ipv6 ? askable6 : askable4)
    {
    }

    // Near to what a packet has, so that the answers differ.
    ir::Conditions some(const ir::Key &like)
    {
        ir::Conditions conditions;
        for (unsigned n = 1 + dice_.below(2); n > 0; --n) {
            const Askable &askable = dice_.of(askable_);
            for (const Field state : askable.required)
                conditions.emplace_back(ir::Require{state});
            for (unsigned m = 1 + dice_.below(2); m > 0; --m)
                conditions.push_back(condition(askable.fields, like));
        }
        return conditions;
    }

private:
    ir::Condition condition(const std::vector<Field> &fields, const ir::Key &like)
    {
        switch (dice_.below(6)) {
        case 0:
            return ir::Not{tests(fields, like)};
        case 1: {
            ir::AnyOf any;
            for (unsigned n = 1 + dice_.below(3); n > 0; --n)
                any.groups.push_back(dice_.one_in(20) ? std::vector<ir::Test>{}
                                                      : tests(fields, like));
            return any;
        }
        default:
            return std::visit([](const auto &plain) { return ir::Condition(plain); },
                              test(fields, like));
        }
    }

    std::vector<ir::Test> tests(const std::vector<Field> &fields, const ir::Key &like)
    {
        std::vector<ir::Test> result;
        for (unsigned n = 1 + dice_.below(3); n > 0; --n)
            result.push_back(test(fields, like));
        return result;
    }

    ir::Test test(const std::vector<Field> &fields, const ir::Key &like)
    {
        const Field field = dice_.of(fields);
        const std::uint32_t span = dice_.one_in(3)   ? 0
                                   : dice_.one_in(2) ? dice_.below(5)
                                                     : 0xffffffffU >> dice_.below(32);
        if (dice_.one_in(3)) {
            const std::uint32_t mask = dice_.one_in(2) ? 1U << dice_.below(32) : dice_.below(~0U);
            return ir::Masked{field, mask, (like[field] & mask) - dice_.below(2), span};
        }
        const ir::Range range{
            field, (like[field] - dice_.below(3)) & (dice_.one_in(4) ? ~span : ~0U), span};
        return dice_.one_in(3) ? ir::inverse(range).value_or(range) : range;
    }

    Dice dice_;
    const std::vector<Askable> &askable_;
};

// What no packet of the generator has: a type of service, a traffic class.
PacketBytes packet_of(ir::Family family, Generator &generator, Dice &dice)
{
    PacketBytes packet = generator.packet();
    const std::uint8_t service = static_cast<std::uint8_t>(dice.below(256));
    if (family == ir::Family::ipv6)
        packet[0] = (packet[0] & std::byte{0xf0}) | std::byte{service} >> 4;
    packet[1] = std::byte{service} << (family == ir::Family::ipv6 ? 4 : 0);
    return packet;
}

// Rules that count, and a policy.
ir::Table table_of(ir::Family family, std::uint64_t seed, Generator &generator)
{
    constexpr ir::RuleId rules = 12;
    Conditions random(family, seed);
    Dice dice(seed);
    ir::Table table;
    table.name = "filter";
    table.family = family;
    for (ir::RuleId id = 0; id < rules; ++id) {
        const ir::Key like =
            key_of(family, packet_of(family, generator, dice), generator.device_pair());
        table.rules.push_back({id, random.some(like), ir::Continue{}, "-A rule"});
    }
    table.rules.push_back({rules, {}, ir::Accept{}, "-P INPUT ACCEPT"});
    table.hooks[static_cast<std::size_t>(ir::Hook::local_in)] =
        ir::HookEntry{.entry = 0, .underflow = rules};
    return table;
}

class AnyCondition : public testing::TestWithParam<ir::Family> {};

TEST_P(AnyCondition, IsAsTheInterpreterHasIt)
{
    if (const std::string why = why_no_bpf(); !why.empty())
        GTEST_SKIP() << why;
    const std::uint64_t first = seed();
    const std::uint64_t tables = number_from("BPFILTER_TEST_TABLES", 40);
    std::size_t matched = 0;
    std::size_t asked = 0;
    for (std::uint64_t i = 0; i < tables; ++i) {
        const auto generator = make_generator(GetParam(), first + i);
        const ir::Table table = table_of(GetParam(), first + i, *generator);
        LoadedHook hook(table, ir::Hook::local_in);
        std::vector<ir::Counters> counters(table.rules.size());
        Dice dice(first + i);
        for (int n = 0; n < 150; ++n) {
            const PacketBytes packet = packet_of(GetParam(), *generator, dice);
            const Devices devices = generator->device_pair();
            const ir::Outcome expected =
                ir::evaluate(table, ir::Hook::local_in, key_of(GetParam(), packet, devices));
            for (const auto &[rule, bytes] : expected.counted)
                counters.at(rule) += {1, bytes};
            matched += expected.counted.size();
            asked += table.rules.size();
            hook.run(packet, devices);
            ASSERT_EQ(difference(table, hook.counters(), counters), "")
                << "table " << i << ", packet " << n << ": " << describe(packet) << '\n'
                << ir::text(table);
        }
    }
    EXPECT_GT(matched, asked / 50) << "the rules were no test";
    EXPECT_LT(matched, asked / 10 * 9) << "the rules were no test";
}

INSTANTIATE_TEST_SUITE_P(Families, AnyCondition,
                         testing::Values(ir::Family::ipv4, ir::Family::ipv6));

} // namespace

} // namespace bpfilter::test
