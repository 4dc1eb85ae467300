// SPDX-License-Identifier: GPL-2.0
//
// Listings for 32-bit callers, by numbers. That they are those of 64-bit callers, translated,
// is in decode/compat_test.cpp.
#include "tests/unit/support/compat.h"
#include "tests/unit/support/decoding.h"
#include "umh/core/blob/info.h"
#include "umh/core/blob/listing.h"

#include <gmock/gmock.h>

namespace bpfilter::test {

namespace {

const blob::Layout &compat_ipv4()
{
    return **blob::find_layout(ir::Family::ipv4, true);
}

ipt_getinfo compat_info(const Blob &blob)
{
    return load<ipt_getinfo>(blob::encode_info(decoded(blob.build()), compat_ipv4()), 0);
}

TEST(CompatInfo, OfAFreshTable)
{
    // Four entries, three of them with a verdict: 620 bytes of 632.
    const auto info = compat_info(Blob());
    EXPECT_STREQ(info.name, "filter");
    EXPECT_EQ(info.size, 620U);
    EXPECT_EQ(info.num_entries, 4U);
    EXPECT_THAT(info.hook_entry,
                ::testing::ElementsAre(0xffffffff - 12, 0, 148, 296, 0xffffffff - 12));
    EXPECT_THAT(info.underflow,
                ::testing::ElementsAre(0xffffffff - 12, 0, 148, 296, 0xffffffff - 12));
}

TEST(CompatInfo, HooksAreMovedByWhatIsBeforeThem)
{
    const auto info =
        compat_info(Blob().rule("INPUT", Rule().tcp().drop()).rule("FORWARD", Rule()));
    EXPECT_THAT(info.hook_entry,
                ::testing::ElementsAre(::testing::_, 0, 192 + 148, 192 + 3 * 148, ::testing::_));
    EXPECT_THAT(info.underflow, ::testing::ElementsAre(::testing::_, 192, 192 + 2 * 148,
                                                       192 + 3 * 148, ::testing::_));
}

TEST(CompatEntries, AreAsLongAsInfoSays)
{
    const Blob blob = Blob().chain("c1").rule("INPUT", Rule().udp().jump("c1"));
    const auto table = decoded(blob.build());
    const std::vector<ir::Counters> counters(table.offsets.size());
    EXPECT_EQ(blob::encode_entries(table, counters, compat_ipv4()).size(), compat_info(blob).size);
    EXPECT_EQ(blob::entries_size(table, compat_ipv4()), compat_info(blob).size);
    EXPECT_EQ(blob::entries_size(table, native_ipv4()), table.entries.size());
}

TEST(CompatEntries, CountersOfEveryEntry)
{
    const auto table = decoded(Blob().rule("INPUT", Rule().tcp().accept()).build());
    std::vector<ir::Counters> counters;
    for (std::uint64_t id = 0; id < 5; ++id)
        counters.push_back({id + 1, (id + 1) << 40});
    const auto entries = blob::encode_entries(table, counters, compat_ipv4());
    std::size_t id = 0;
    for (const std::size_t offset : {0, 192, 340, 488, 636})
        EXPECT_EQ(load<ir::Counters>(entries, offset + 96), counters[id++]);
}

TEST(CompatEntries, RoomBehindATargetStays)
{
    // A 64-bit caller's whim. What the kernel makes of it leads nowhere.
    Payload payload = Blob().build();
    payload.bytes.resize(payload.bytes.size() + 8);
    payload.put(offsetof(ipt_replace, size), 640U);
    payload.put_entry(3, offsetof(ipt_entry, next_offset), std::uint16_t{184});
    const auto table = decoded(payload);
    const auto entries = blob::encode_entries(table, std::vector<ir::Counters>(4), compat_ipv4());
    ASSERT_EQ(entries.size(), 628U);
    EXPECT_EQ(load<std::uint16_t>(entries, 444 + 90), 184U);
}

} // namespace

} // namespace bpfilter::test
