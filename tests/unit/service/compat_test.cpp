// SPDX-License-Identifier: GPL-2.0
//
// Tables of 32-bit callers, and listings for them.
#include "tests/unit/service/service.h"
#include "tests/unit/support/compat.h"

#include <cerrno>
#include <cstring>

namespace bpfilter::service {
namespace {

// Callers of both sizes, with one table.
class ServiceCompatTest : public ServiceTest {
protected:
    static constexpr std::uint16_t compat = BPFILTER_REQUEST_COMPAT;

    Info compat_info()
    {
        return pipe::payload_as<Info>(get_info("filter", 1, compat).value()).value();
    }

    Outcome compat_entries(std::uint32_t size) { return compat_entries(service, size); }

    static Outcome compat_entries(Service &service, std::uint32_t size)
    {
        bpfilter_get_entries in{};
        std::strcpy(in.name, "filter");
        in.size = size;
        return ask(service, BPFILTER_OP_GET_ENTRIES, pipe::bytes_of(in), 1, compat);
    }

    const Blob blob = Blob().chain("c1").rule("INPUT", Rule().tcp().jump("c1"));
};

TEST_P(ServiceCompatTest, OneTableForAll)
{
    EXPECT_EQ(compat_info().size, 620u) << "first used by a 32-bit caller";
    EXPECT_EQ(info().size, 632u);
    ASSERT_TRUE(ask(BPFILTER_OP_REPLACE, test::narrow(blob.build(4)).bytes, 1, compat));
    const auto native = get_entries(info().size).value();
    EXPECT_EQ(native.size(), blob.build().bytes.size() - 96);
    EXPECT_EQ(compat_entries(static_cast<std::uint32_t>(native.size())).error().code, EAGAIN);
    const auto listed = compat_entries(compat_info().size).value();
    EXPECT_EQ(listed.size(), test::narrow(blob.build()).bytes.size() - 92);

    ASSERT_TRUE(replace(blob));
    EXPECT_EQ(get_entries(info().size).value(), native) << "brought by a 64-bit caller";
    EXPECT_EQ(compat_entries(compat_info().size).value(), listed);
}

TEST_P(ServiceCompatTest, CountersBeginAt36)
{
    const std::vector<ir::Counters> counters{{1, 10}, {2, 20}, {3, 30}, {4, 1ULL << 40}};
    info();
    std::vector<std::byte> payload(36 + 64);
    std::memcpy(payload.data(), "filter", 6);
    const std::uint32_t count = 4;
    std::memcpy(payload.data() + 32, &count, sizeof(count));
    std::memcpy(payload.data() + 36, counters.data(), 64);
    ASSERT_TRUE(ask(BPFILTER_OP_ADD_COUNTERS, payload, 1, compat));
    EXPECT_EQ(ask(BPFILTER_OP_ADD_COUNTERS, payload).error().code, EINVAL);
    ir::Counters listed;
    std::memcpy(&listed, compat_entries(620).value().data() + 3 * 148 + 96, sizeof(listed));
    EXPECT_EQ(listed, counters[3]);
}

TEST_P(ServiceCompatTest, ASuccessorListsTheSame)
{
    info();
    const auto payload = test::narrow(blob.build(4)).bytes;
    ASSERT_TRUE(ask(BPFILTER_OP_REPLACE, payload, 1, compat));
    const auto before = get_entries(info().size).value();

    Service successor(kernel, 16);
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    auto replay = pipe::bytes_of(name);
    replay.insert(replay.end(), payload.begin(), payload.end());
    ASSERT_TRUE(ask(successor, BPFILTER_OP_REPLAY, replay, 1, compat));
    EXPECT_EQ(get_entries(successor, static_cast<std::uint32_t>(before.size())).value(), before);
}

TEST_P(ServiceCompatTest, ASuccessorKnowsFirstContents)
{
    const auto before = compat_entries(compat_info().size).value();
    Service successor(kernel, 16);
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    ASSERT_TRUE(ask(successor, BPFILTER_OP_REPLAY, pipe::bytes_of(name), 1, compat));
    EXPECT_EQ(compat_entries(successor, 620).value(), before);
    EXPECT_TRUE(get_entries(successor, 632));
}

INSTANTIATE_TEST_SUITE_P(Forms, ServiceCompatTest, forms, form_name);

} // namespace
} // namespace bpfilter::service
