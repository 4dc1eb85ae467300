// SPDX-License-Identifier: GPL-2.0
//
// The header of a request, and the order in which checks decide the errno.
#include "tests/unit/support/decoding.h"

#include <cerrno>
#include <climits>

namespace bpfilter::test {

namespace {

constexpr auto num_entries = offsetof(ipt_replace, num_entries);
constexpr auto num_counters = offsetof(ipt_replace, num_counters);
constexpr auto size = offsetof(ipt_replace, size);
constexpr auto valid_hooks = offsetof(ipt_replace, valid_hooks);
constexpr auto hook_entry = offsetof(ipt_replace, hook_entry);
constexpr auto underflow = offsetof(ipt_replace, underflow);
constexpr std::size_t input = 4; // the slot of a hook
constexpr std::size_t forward = 8;
constexpr std::size_t output = 12;

class RequestTest : public ::testing::Test {
protected:
    Payload payload = Blob().build();

    void resize(std::ptrdiff_t by)
    {
        payload.bytes.resize(payload.bytes.size() + static_cast<std::size_t>(by));
    }
    template <typename T> void add(std::size_t offset, T by)
    {
        payload.put(offset, static_cast<T>(payload.get<T>(offset) + by));
    }
    void rename(std::string_view name)
    {
        payload.put(0, std::array<char, 32>{});
        store_bytes(payload.bytes, 0, std::as_bytes(std::span(name)));
    }
};

TEST_F(RequestTest, AcceptsTheInitialTable)
{
    const auto table = decoded(payload);
    EXPECT_EQ(table.table.name, "filter");
    EXPECT_EQ(table.num_counters, 4U);
    EXPECT_EQ(table.entries.size(), 632U);
    EXPECT_EQ(table.offsets, (std::vector<std::uint32_t>{0, 152, 304, 456}));
}

TEST_F(RequestTest, RefusesEveryLengthThatIsTooShort)
{
    const auto whole = payload.bytes;
    for (std::size_t length = 0; length < whole.size(); ++length) {
        payload.bytes.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        ASSERT_EQ(error_of(payload), EINVAL) << length;
    }
}

TEST_F(RequestTest, AcceptsMoreThanItNeeds)
{
    resize(8);
    EXPECT_EQ(error_of(payload), 0);
}

TEST_F(RequestTest, JudgesTheNumberOfCounters)
{
    const auto with = [this](std::uint32_t number) {
        payload.put(num_counters, number);
        return error_of(payload);
    };
    EXPECT_EQ(with(0), EINVAL);
    EXPECT_EQ(with(0x7fffffff), ENOMEM);
    EXPECT_EQ(with(INT_MAX / 16), ENOMEM);
    EXPECT_EQ(with(INT_MAX / 16 - 1), ENOMEM);
    EXPECT_EQ(with(512 * 1024 * 1024 / 16 + 1), ENOMEM);
    EXPECT_EQ(with(512 * 1024 * 1024 / 16), 0);
    EXPECT_EQ(decoded(payload).num_counters, 512U * 1024 * 1024 / 16);
}

TEST_F(RequestTest, TooManyCountersBeforeNoLength)
{
    payload.put(num_counters, 0x7fffffffU);
    payload.put(size, 0xffffffffU);
    EXPECT_EQ(error_of(payload), ENOMEM);
    payload.put(num_counters, 4U);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST_F(RequestTest, TheCounterArrayIsAllocatedAfterTheBlobWasChecked)
{
    payload.put(num_counters, static_cast<std::uint32_t>(INT_MAX / 16 - 1));
    payload.put(num_entries, 5U);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST_F(RequestTest, ExpectsTheNumberOfEntries)
{
    add(num_entries, 1U);
    EXPECT_EQ(error_of(payload), EINVAL);
    add(num_entries, ~1U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(num_entries, 0U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(num_entries, 512U * 1024 * 1024 / 4 + 1);
    EXPECT_EQ(error_of(payload), ENOMEM);
}

TEST_F(RequestTest, ExpectsTheSizeOfEntries)
{
    add(size, ~7U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(size, 640U);
    resize(8);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(size, 0U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(size, 0x20000000U);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST_F(RequestTest, AnUnknownTableIsNoticedBehindTheBlob)
{
    rename("nosuch");
    EXPECT_EQ(error_of(payload), ENOENT);
    payload.put(valid_hooks, 0U);
    EXPECT_EQ(error_of(payload), ENOENT); // the name before its hooks
    payload.put(valid_hooks, 0x0eU);
    payload.put(num_entries, 5U);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST_F(RequestTest, TheNameEndsAtItsLastByte)
{
    payload.put(0, [] {
        std::array<char, 32> name;
        name.fill('x');
        return name;
    }());
    EXPECT_EQ(error_of(payload), ENOENT);
    EXPECT_TRUE(message_of(payload).ends_with(" " + std::string(31, 'x')));
}

TEST_F(RequestTest, ExpectsTheHooksOfTheTable)
{
    for (const std::uint32_t hooks : {0x00U, 0x06U, 0x1eU, 0x0fU, 0x8000000eU}) {
        payload.put(valid_hooks, hooks);
        EXPECT_EQ(error_of(payload), EINVAL) << hooks;
    }
}

TEST_F(RequestTest, AnEmptyBlobFailsByItsHooksOnly)
{
    payload.put(size, 0U);
    payload.put(num_entries, 0U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(valid_hooks, 0U);
    EXPECT_EQ(error_of(payload), EINVAL); // filter has hooks
    rename("nosuch");
    EXPECT_EQ(error_of(payload), ENOENT);
}

TEST_F(RequestTest, HooksBeginAtEntries)
{
    add(hook_entry + input, 8U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(hook_entry + input, 0x10000U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(hook_entry + input, 0xffffffffU);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST_F(RequestTest, HooksEndAtEntries)
{
    add(underflow + input, 8U);
    EXPECT_EQ(error_of(payload), EINVAL);
    payload.put(underflow + input, 0x10000U);
    EXPECT_EQ(error_of(payload), EINVAL);
}

TEST_F(RequestTest, HooksAscend)
{
    const auto original = payload;
    payload.put(hook_entry + forward, 0U);
    EXPECT_EQ(error_of(payload), EINVAL) << "same entry";
    payload = original;
    payload.put(underflow + forward, 0U);
    EXPECT_EQ(error_of(payload), EINVAL) << "same underflow";
    payload = original;
    payload.put(hook_entry + input, 304U);
    payload.put(hook_entry + output, 0U);
    EXPECT_EQ(error_of(payload), EINVAL) << "entries descend";
    payload = original;
    payload.put(underflow + input, 304U);
    payload.put(underflow + output, 0U);
    EXPECT_EQ(error_of(payload), EINVAL) << "underflows descend";
}

TEST_F(RequestTest, SlotsOfOtherHooksAreIgnored)
{
    payload.put(hook_entry, 7U);
    payload.put(underflow, 7U);
    const auto table = decoded(payload);
    EXPECT_EQ(table.hook_entry, (blob::HookOffsets{0xffffffff, 0, 152, 304, 0xffffffff}));
    EXPECT_EQ(table.underflow, table.hook_entry);
    EXPECT_FALSE(table.table.hooks[0]);
    EXPECT_TRUE(table.table.hooks[1]);
}

TEST_F(RequestTest, TheCounterPointerIsNotUsed)
{
    payload.put(offsetof(ipt_replace, counters), std::uint64_t{8});
    EXPECT_EQ(error_of(payload), 0);
}

TEST(Layout, OtherFamiliesAreRefused)
{
    const auto layout = blob::find_layout(static_cast<ir::Family>(3));
    ASSERT_FALSE(layout);
    EXPECT_EQ(layout.error().code, EINVAL);
}

TEST(Layout, OfIpv6IsTheDocumentedOne)
{
    const auto &layout = native(ir::Family::ipv6);
    EXPECT_EQ(layout.replace_size, 96U);
    EXPECT_EQ(layout.entry_size, 168U);
    EXPECT_EQ(layout.ip_size, 136U);
    EXPECT_EQ(layout.target_offset, 140U);
    EXPECT_EQ(layout.next_offset, 142U);
    EXPECT_EQ(layout.comefrom, 144U);
    EXPECT_EQ(layout.counters, 152U);
    EXPECT_EQ(layout.flags, 131U);
    EXPECT_EQ(layout.inversion, 132U);
    EXPECT_EQ(layout.protocol, 128U);
    EXPECT_EQ(layout.goto_flag, 4U);
    EXPECT_EQ(layout.flags_mask, 7U);
}

TEST(Layout, IsTheDocumentedOne)
{
    const auto &layout = native_ipv4();
    EXPECT_EQ(layout.replace_size, 96U);
    EXPECT_EQ(layout.entry_size, 112U);
    EXPECT_EQ(layout.ip_size, 84U);
    EXPECT_EQ(layout.target_offset, 88U);
    EXPECT_EQ(layout.next_offset, 90U);
    EXPECT_EQ(layout.comefrom, 92U);
    EXPECT_EQ(layout.counters, 96U);
    EXPECT_EQ(layout.alignment, 8U);
}

} // namespace

} // namespace bpfilter::test
