// SPDX-License-Identifier: GPL-2.0
//
// Listings, and the way there and back.
#include "tests/unit/support/decoding.h"
#include "umh/core/blob/info.h"
#include "umh/core/blob/initial.h"
#include "umh/core/blob/listing.h"

#include <map>

namespace bpfilter::test {

namespace {

std::vector<std::byte> entries_of(const Payload &payload)
{
    return {payload.bytes.begin() + sizeof(ipt_replace), payload.bytes.end()};
}

template <typename T>
T entry_field(const blob::DecodedTable &table, Bytes entries, std::size_t id, std::size_t offset)
{
    return load<T>(entries, table.offsets.at(id) + offset);
}

blob::DecodedTable initial_filter()
{
    const auto *properties = *blob::find_table("filter");
    return *blob::decode_replace(blob::initial_replace(*properties, native_ipv4()), native_ipv4());
}

TEST(Initial, IsTheTableOfAFreshKernel)
{
    const auto table = initial_filter();
    EXPECT_EQ(table.table.name, "filter");
    EXPECT_EQ(table.entries.size(), 632U);
    ASSERT_EQ(table.table.rules.size(), 4U);
    EXPECT_EQ(table.table.rules[1].text, "-P FORWARD ACCEPT");
    EXPECT_EQ(table.table.rules[3].text, "# end of table");
    EXPECT_EQ(table.table.stack_depth, 1U);
    EXPECT_EQ(table.num_counters, 4U);
    EXPECT_EQ(table.entries, decoded(Blob().build()).entries);
}

// Entries and bytes, as ip6_tables has them on a fresh kernel.
TEST(Initial, SizesOfIpv6)
{
    const auto &layout = native(ir::Family::ipv6);
    const std::map<std::string, std::pair<std::size_t, std::size_t>> tables = {
        {"filter", {4, 856}}, {"nat", {5, 1064}},     {"mangle", {6, 1272}},
        {"raw", {3, 648}},    {"security", {4, 856}},
    };
    for (const auto &[name, size] : tables) {
        const auto table =
            blob::decode_replace(blob::initial_replace(**blob::find_table(name), layout), layout);
        ASSERT_TRUE(table) << name << ": " << table.error().message;
        EXPECT_EQ(table->table.rules.size(), size.first) << name;
        EXPECT_EQ(table->entries.size(), size.second) << name;
        EXPECT_EQ(table->table.family, ir::Family::ipv6);
    }
}

TEST(Info, OfAFreshTable)
{
    const auto bytes = blob::encode_info(initial_filter());
    ASSERT_EQ(bytes.size(), 84U);
    const auto info = load<ipt_getinfo>(bytes, 0);
    EXPECT_STREQ(info.name, "filter");
    EXPECT_EQ(info.valid_hooks, 0x0eU);
    EXPECT_EQ(info.num_entries, 4U);
    EXPECT_EQ(info.size, 632U);
    EXPECT_EQ(load<blob::HookOffsets>(bytes, offsetof(ipt_getinfo, hook_entry)),
              (blob::HookOffsets{0xffffffff, 0, 152, 304, 0xffffffff}));
    EXPECT_EQ(load<blob::HookOffsets>(bytes, offsetof(ipt_getinfo, underflow)),
              (blob::HookOffsets{0xffffffff, 0, 152, 304, 0xffffffff}));
}

TEST(Entries, WhatWasSentComesBackWithItsHooks)
{
    Payload payload =
        Blob()
            .chain("c1")
            .rule("INPUT",
                  Rule().source("10.0.0.0/8").in("eth+", true).tcp({.dport = {1, 2}}).jump("c1"))
            .rule("c1", Rule().udp({.sport = {9, 9}}).udp().queue())
            .rule("OUTPUT", Rule().icmp({.type = 3}).go_to("c1"))
            .build();
    payload.put_entry(0, offsetof(ipt_entry, nfcache), 0x77U);
    const auto table = decoded(payload);
    auto expected = entries_of(payload);
    // INPUT 0,1; FORWARD 2; OUTPUT 3,4; c1 5,6,7; end 8
    const std::vector<std::uint32_t> reach{2, 2, 4, 8, 8, 0, 10, 10, 0};
    for (std::size_t id = 0; id < reach.size(); ++id)
        store(expected, table.offsets[id] + offsetof(ipt_entry, comefrom), reach[id]);
    EXPECT_EQ(table.entries, expected);
    EXPECT_EQ(table.offsets, payload.offsets);
}

TEST(Entries, ComingBackTheyAreTheSame)
{
    const Payload payload = Blob().rule("INPUT", Rule().tcp().accept()).build();
    const auto first = decoded(payload);
    Payload again = payload;
    store_bytes(again.bytes, sizeof(ipt_replace), first.entries);
    const auto second = decoded(again);
    EXPECT_EQ(first.entries, second.entries);
    EXPECT_EQ(ir::text(first.table), ir::text(second.table));
}

TEST(Entries, CountersOfTheRequestAreForgotten)
{
    Payload payload = Blob().build();
    payload.put_entry(0, offsetof(ipt_entry, counters), ir::Counters{1234, 5678});
    const auto table = decoded(payload);
    EXPECT_EQ(entry_field<ir::Counters>(table, table.entries, 0, offsetof(ipt_entry, counters)),
              (ir::Counters{}));
}

TEST(Entries, CountersArePutIn)
{
    const auto table = decoded(Blob().rule("INPUT", Rule().tcp().accept()).build());
    std::vector<ir::Counters> counters;
    for (std::uint64_t id = 0; id < 5; ++id)
        counters.push_back({id + 1, (id + 1) << 40});
    const auto entries = blob::encode_entries(table, counters);
    ASSERT_EQ(entries.size(), table.entries.size());
    for (std::size_t id = 0; id < counters.size(); ++id)
        EXPECT_EQ(entry_field<ir::Counters>(table, entries, id, offsetof(ipt_entry, counters)),
                  counters[id]);
    EXPECT_THROW((void)blob::encode_entries(table, {}), std::invalid_argument);
}

TEST(Entries, WhatNoExtensionKnowsIsZeroed)
{
    // Padding behind struct xt_tcp and behind the verdict, and behind the NUL of names.
    Payload payload = Blob().rule("INPUT", Rule().tcp().accept()).build();
    const auto clean = decoded(payload).entries;
    const auto match = sizeof(ipt_entry);
    const auto target = match + 48;
    payload.put_entry(0, match + 2 + 5, std::array<char, 3>{'x', 'y', 'z'});
    payload.put_entry(0, match + 32 + sizeof(xt_tcp), 0xdeadbeefU);
    payload.put_entry(0, target + 2 + 1, std::array<char, 3>{'x', 'y', 'z'});
    payload.put_entry(0, target + 32 + 4, 0xdeadbeefU);
    EXPECT_EQ(decoded(payload).entries, clean);
}

TEST(Entries, RoomBehindATargetIsZeroed)
{
    Payload payload = Blob().build();
    payload.bytes.resize(payload.bytes.size() + 8, std::byte{0xaa});
    payload.put(offsetof(ipt_replace, size), 640U);
    payload.put_entry(3, offsetof(ipt_entry, next_offset), std::uint16_t{184});
    const auto table = decoded(payload);
    ASSERT_EQ(table.entries.size(), 640U);
    EXPECT_TRUE(all_zero(slice(table.entries, 632, 8)));
}

} // namespace

} // namespace bpfilter::test
