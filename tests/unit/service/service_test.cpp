// SPDX-License-Identifier: GPL-2.0
//
// The helper's service: versions, tables and their counters, successors, rooms and forms.
#include "tests/unit/service/service.h"

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

namespace bpfilter::service {
namespace {

TEST_P(ServiceTest, AgreesOnAVersion)
{
    bpfilter_init in{};
    in.major = BPFILTER_PIPE_MAJOR;
    in.minor = 99;
    const auto out =
        pipe::payload_as<bpfilter_init>(ask(BPFILTER_OP_INIT, pipe::bytes_of(in), 0).value());
    EXPECT_EQ(out->major, static_cast<__u32>(BPFILTER_PIPE_MAJOR));
    EXPECT_EQ(out->minor, static_cast<__u32>(BPFILTER_PIPE_MINOR));
    EXPECT_EQ(out->threads, 16u);

    in.major = BPFILTER_PIPE_MAJOR + 1;
    EXPECT_EQ(ask(BPFILTER_OP_INIT, pipe::bytes_of(in), 0).error().code, EPROTO);
}

// By what becomes of a rule of IPv6 that says -p tcp, but not with the flag.
TEST_P(ServiceTest, IsToldWhatTheKernelIsLaxAbout)
{
    bpfilter_init in{};
    in.major = BPFILTER_PIPE_MAJOR;
    in.minor = BPFILTER_PIPE_MINOR;
    in.settings.form = GetParam();
    const auto flags_with = [&](std::span<const std::byte> init) {
        NotingKernel kernel;
        Service service(kernel, 16);
        EXPECT_TRUE(ask(service, BPFILTER_OP_INIT, init, 0));
        Rule rule = Rule().protocol(6);
        rule.ip6().flags = 0;
        Blob blob(ir::Family::ipv6);
        const auto payload = blob.rule("INPUT", rule).build(4);
        EXPECT_TRUE(ask(service, BPFILTER_OP_REPLACE, payload.bytes, 1, 0, 10));
        bpfilter_get_entries get{};
        std::strcpy(get.name, "filter");
        get.size = static_cast<__u32>(payload.bytes.size() - payload.header);
        const auto entries =
            ask(service, BPFILTER_OP_GET_ENTRIES, pipe::bytes_of(get), 1, 0, 10).value();
        return load<std::uint8_t>(entries, offsetof(ip6t_ip6, flags));
    };
    EXPECT_EQ(flags_with(pipe::bytes_of(in)), IP6T_F_PROTO);
    in.lax = BPFILTER_LAX_PROTOCOL;
    const pipe::Buffer told = pipe::bytes_of(in);
    EXPECT_EQ(flags_with(told), 0);
    // An older module does not say.
    const auto older = std::span<const std::byte>(told).first(offsetof(bpfilter_init, lax));
    EXPECT_EQ(flags_with(older), IP6T_F_PROTO);
    EXPECT_EQ(ask(BPFILTER_OP_INIT, older.first(older.size() - 1), 0).error().code, EPROTO);
}

TEST_P(ServiceTest, RefusesWhatItDoesNotKnow)
{
    EXPECT_EQ(ask(999, {}).error().code, EINVAL);
    EXPECT_EQ(ask(BPFILTER_OP_GET_INFO, {}, 0).error().code, EINVAL);
    EXPECT_EQ(ask(BPFILTER_OP_GET_INFO, {}).error().code, EPROTO);
}

TEST_P(ServiceTest, FirstUseCreatesTheTable)
{
    EXPECT_TRUE(kernel.commits.empty());
    const Info in = info();
    EXPECT_EQ(in.num_entries, 4u);
    EXPECT_EQ(in.size, 632u);
    ASSERT_EQ(kernel.commits.size(), 1u);
    const auto &commit = kernel.commits[0];
    EXPECT_STREQ(commit.table, "filter");
    EXPECT_EQ(commit.flags & asked, 0u);
    ASSERT_EQ(commit.hook_count, 3u);
    EXPECT_EQ(commit.hook[0].hook, 1u);
    EXPECT_EQ(commit.hook[2].hook, 3u);
    EXPECT_EQ(commit.hook[0].priority, 0);
    info();
    EXPECT_EQ(kernel.commits.size(), 1u) << "a second use creates nothing";
}

TEST_P(ServiceTest, AnUnknownTableIsENOENT)
{
    EXPECT_EQ(get_info("nosuch").error().code, ENOENT);
    EXPECT_EQ(get_info("").error().code, ENOENT);
    EXPECT_TRUE(kernel.commits.empty());
}

TEST_P(ServiceTest, CountersBeginAt40)
{
    const std::vector<ir::Counters> counters{{1, 10}, {2, 20}, {3, 30}, {4, 1ULL << 40}};
    info();
    std::vector<std::byte> payload(40 + 64);
    std::memcpy(payload.data(), "filter", 6);
    const std::uint32_t count = 4;
    std::memcpy(payload.data() + 32, &count, sizeof(count));
    std::memcpy(payload.data() + 40, counters.data(), 64);
    ASSERT_TRUE(ask(BPFILTER_OP_ADD_COUNTERS, payload));
    ir::Counters listed;
    std::memcpy(&listed, get_entries(632).value().data() + 3 * 152 + 96, sizeof(listed));
    EXPECT_EQ(listed, counters[3]);
    payload.erase(payload.begin() + 36, payload.begin() + 40);
    EXPECT_EQ(ask(BPFILTER_OP_ADD_COUNTERS, payload).error().code, EINVAL) << "as of 32 bits";
}

// Of tables as data.
class ServiceRoomTest : public ServiceTest {
protected:
    // How many arenas, and what else of that kind, this process has.
    static std::size_t mapped()
    {
        std::ifstream maps("/proc/self/maps");
        std::size_t count = 0;
        for (std::string line; std::getline(maps, line);)
            count += line.ends_with("bpf-map") ? 1 : 0;
        return count;
    }
};

// An arena is memory that is taken, and written to, before the module refuses the table.
TEST_P(ServiceRoomTest, NothingIsMadeForWhatFindsNoRoom)
{
    const std::size_t before = mapped();
    kernel.room_left = 100;
    EXPECT_EQ(get_info().error().code, ENOMEM);
    EXPECT_EQ(mapped(), before);
    EXPECT_TRUE(kernel.commits.empty());
    kernel.room_left = UINT64_MAX;
    EXPECT_TRUE(get_info());
    EXPECT_GT(mapped(), before) << "what tells an arena";
}

// No less than will be on the account: the module would refuse later what it was asked for.
TEST_P(ServiceRoomTest, AsMuchIsAskedForAsIsTaken)
{
    info();
    Blob blob;
    for (int i = 0; i < 1000; ++i)
        blob.rule("INPUT", Rule());
    ASSERT_TRUE(replace(blob));
    ASSERT_EQ(kernel.asked_room.size(), 2u);
    EXPECT_GE(kernel.asked_room.back(), kernel.records.back().bytes + 1000u * 32);
    EXPECT_LE(kernel.asked_room.back(), kernel.records.back().bytes + 1000u * 64);
}

TEST_P(ServiceTest, AStaleSizeIsEAGAIN)
{
    const Info in = info();
    EXPECT_TRUE(get_entries(in.size));
    EXPECT_EQ(get_entries(in.size + 8).error().code, EAGAIN);
    EXPECT_EQ(get_entries(in.size - 8).error().code, EAGAIN);
}

TEST_P(ServiceTest, ReplaceBringsNewContents)
{
    info();
    Blob blob;
    blob.rule("INPUT", Rule().source("10.0.0.0/8").drop());
    ASSERT_TRUE(replace(blob));
    ASSERT_EQ(kernel.commits.size(), 2u);
    EXPECT_EQ(kernel.commits[1].flags & asked, static_cast<__u32>(BPFILTER_COMMIT_PIN));
    EXPECT_EQ(info().num_entries, 5u);

    ASSERT_TRUE(replace(Blob()));
    EXPECT_EQ(kernel.commits[2].flags & asked, 0u) << "first contents hold no module";
}

TEST_P(ServiceTest, ReplaceOfAnUnusedTableComparesWithItsFirstContents)
{
    EXPECT_EQ(ask(BPFILTER_OP_REPLACE, Blob().build(5).bytes).error().code, EAGAIN);
    EXPECT_TRUE(ask(BPFILTER_OP_REPLACE, Blob().build(4).bytes));
    EXPECT_EQ(kernel.commits.size(), 1u);
}

TEST_P(ServiceTest, LeadingRulesWithADeviceAreWatched)
{
    info();
    Blob blob;
    blob.rule("INPUT", Rule().in("lo").source("10.0.0.0/8").drop());
    ASSERT_TRUE(replace(blob));
    EXPECT_TRUE(kernel.commits[1].flags & BPFILTER_COMMIT_WATCH);
    EXPECT_TRUE(ask(BPFILTER_OP_DEVICES, {}));
}

TEST_P(ServiceTest, AnotherNumberOfCountersIsEAGAIN)
{
    info();
    EXPECT_EQ(ask(BPFILTER_OP_REPLACE, Blob().build(7).bytes).error().code, EAGAIN);
    EXPECT_EQ(kernel.commits.size(), 1u);
}

TEST_P(ServiceTest, WhatFailsLeavesTheOldTable)
{
    Blob first;
    first.rule("INPUT", Rule().source("10.0.0.0/8").drop());
    info();
    ASSERT_TRUE(replace(first));
    const Info before = info();
    const auto entries = get_entries(before.size).value();

    Blob second;
    second.rule("INPUT", Rule().drop()).rule("OUTPUT", Rule().drop());
    kernel.refuse = ECANCELED;
    EXPECT_EQ(replace(second).error().code, ECANCELED);
    kernel.refuse = 0;

    Blob wrong;
    wrong.rule("INPUT", Rule().match("tcp", 0, std::vector<std::byte>(16)).drop());
    const auto refused = replace(wrong);
    EXPECT_EQ(refused.error().code, EINVAL);
    EXPECT_NE(refused.error().message.find("match tcp"), std::string::npos);

    EXPECT_EQ(get_entries(before.size).value(), entries);
}

TEST_P(ServiceTest, CountersAreAddedListedAndHandedOver)
{
    info();
    const std::vector<ir::Counters> some = {{1, 10}, {2, 20}, {3, 30}, {0, 0}};
    ASSERT_TRUE(add_counters(some));
    ASSERT_TRUE(add_counters(some));
    EXPECT_EQ(add_counters({{1, 1}}).error().code, EINVAL);

    const auto entries = get_entries(info().size).value();
    ir::Counters listed;
    std::memcpy(&listed, entries.data() + 152 + 96, sizeof(listed));
    EXPECT_EQ(listed, (ir::Counters{4, 40}));

    ASSERT_TRUE(replace(Blob()));
    kernel.give_retired = true;
    const auto old = ask(BPFILTER_OP_OLD_COUNTERS, pipe::bytes_of(bpfilter_count{4, 0})).value();
    std::vector<ir::Counters> counters(4);
    ASSERT_EQ(old.size(), 64u);
    std::memcpy(counters.data(), old.data(), old.size());
    EXPECT_EQ(counters, (std::vector<ir::Counters>{{2, 20}, {4, 40}, {6, 60}, {0, 0}}));

    const auto fresh = get_entries(info().size).value();
    std::memcpy(&listed, fresh.data() + 152 + 96, sizeof(listed));
    EXPECT_EQ(listed, ir::Counters()) << "a new table starts at zero";
}

TEST_P(ServiceTest, ASuccessorListsTheSame)
{
    info();
    Blob blob;
    blob.rule("INPUT", Rule().source("10.0.0.0/8").drop());
    const auto payload = blob.build(4).bytes;
    ASSERT_TRUE(ask(BPFILTER_OP_REPLACE, payload));
    ASSERT_TRUE(add_counters({{7, 70}, {}, {}, {}, {}}));
    const auto before = get_entries(info().size).value();
    const auto commits = kernel.commits.size();

    Service successor(kernel, 16);
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    auto replay = pipe::bytes_of(name);
    replay.insert(replay.end(), payload.begin(), payload.end());
    ASSERT_TRUE(ask(successor, BPFILTER_OP_REPLAY, replay));
    EXPECT_EQ(get_entries(successor, static_cast<std::uint32_t>(before.size())).value(), before);
    EXPECT_EQ(kernel.commits.size(), commits) << "a replay puts nothing in force";
}

TEST_P(ServiceTest, ASuccessorKnowsFirstContents)
{
    const auto before = get_entries(info().size).value();
    Service successor(kernel, 16);
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    ASSERT_TRUE(ask(successor, BPFILTER_OP_REPLAY, pipe::bytes_of(name)));
    EXPECT_EQ(get_entries(successor, 632).value(), before);
}

// The process's open ones, but for those that the module would have.
std::ptrdiff_t open_descriptors(const NotingKernel &kernel)
{
    const auto all = std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                   std::filesystem::directory_iterator());
    return all - static_cast<std::ptrdiff_t>(kernel.in_force.size() + kernel.retired.size());
}

TEST_P(ServiceTest, HoldsNoDescriptorsOfTables)
{
    Blob blob;
    blob.rule("INPUT", Rule().in("lo").source("10.0.0.0/8").drop());
    info();
    ASSERT_TRUE(replace(blob));
    const auto before = open_descriptors(kernel);
    ASSERT_TRUE(replace(Blob()));
    ASSERT_TRUE(replace(blob));
    for (std::uint64_t netns = 2; netns < 10; ++netns)
        ASSERT_TRUE(get_info("filter", netns));
    EXPECT_EQ(open_descriptors(kernel), before);
}

TEST_P(ServiceTest, WhatIsRefusedGoesOnCounting)
{
    info();
    ASSERT_TRUE(add_counters({{1, 10}, {2, 20}, {3, 30}, {0, 0}}));
    kernel.refuse = ECANCELED;
    EXPECT_EQ(replace(Blob()).error().code, ECANCELED);
    kernel.refuse = 0;
    ASSERT_TRUE(add_counters({{1, 10}, {2, 20}, {3, 30}, {0, 0}}));
    ASSERT_TRUE(replace(Blob()));
    kernel.give_retired = true;
    const auto old = ask(BPFILTER_OP_OLD_COUNTERS, pipe::bytes_of(bpfilter_count{4, 0})).value();
    std::vector<ir::Counters> counters(4);
    ASSERT_EQ(old.size(), 64u);
    std::memcpy(counters.data(), old.data(), old.size());
    EXPECT_EQ(counters, (std::vector<ir::Counters>{{2, 20}, {4, 40}, {6, 60}, {0, 0}}));
}

// What the account of whoever brings a table is told: as much as he brings more.
TEST_P(ServiceTest, TellsHowMuchOfAnArenaATableTakes)
{
    info();
    Blob blob;
    constexpr std::size_t many = 100;
    for (std::size_t i = 0; i < many; ++i)
        blob.rule("INPUT", Rule().source("10.0.0.0/8").drop());
    ASSERT_TRUE(replace(blob));
    if (GetParam() != BPFILTER_FORM_DATA)
        return;
    ASSERT_EQ(kernel.records.size(), 2u);
    EXPECT_GT(kernel.records[0].bytes, 0u);
    EXPECT_GE(kernel.records[1].bytes - kernel.records[0].bytes, many * sizeof(ir::Counters));
}

TEST_P(ServiceTest, NamespacesAreSeparateAndForgotten)
{
    Blob blob;
    blob.rule("INPUT", Rule().drop());
    info();
    ASSERT_TRUE(replace(blob));
    EXPECT_EQ(pipe::payload_as<Info>(get_info("filter", 2).value())->num_entries, 4u);
    EXPECT_EQ(info().num_entries, 5u);
    ASSERT_TRUE(ask(BPFILTER_OP_NETNS_GONE, {}));
    EXPECT_EQ(info().num_entries, 4u);
}

// What packets walk stays where it is, whatever the module says.
TEST_P(ServiceTest, WhatIsKnownIsNotReplayed)
{
    info();
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    ASSERT_TRUE(ask(BPFILTER_OP_REPLAY, pipe::bytes_of(name)));
    ASSERT_TRUE(get_info("filter", 2));
    if (GetParam() == BPFILTER_FORM_DATA) {
        EXPECT_NE(kernel.records.at(0).root[1], kernel.records.at(1).root[1]);
    }
}

class AutoFormTest : public ServiceTest {
protected:
    void TearDown() override {} // either form is right

    // What the table before had counted, of so many rules.
    std::vector<ir::Counters> old_counters(__u32 count)
    {
        kernel.give_retired = true;
        const auto old =
            ask(BPFILTER_OP_OLD_COUNTERS, pipe::bytes_of(bpfilter_count{count, 0})).value();
        kernel.give_retired = false;
        std::vector<ir::Counters> counters(count);
        std::memcpy(counters.data(), old.data(), old.size());
        return counters;
    }
};

// A table becomes what is best for it, and loses nothing when it becomes something else.
TEST_P(AutoFormTest, TablesGoFromOneFormToTheOther)
{
    info();
    EXPECT_EQ(kernel.records.size(), 0U) << "first contents";
    Blob small;
    small.rule("INPUT", Rule().drop());
    Blob large;
    constexpr std::uint32_t many = 100;
    for (std::uint32_t i = 0; i < many; ++i)
        large.rule("INPUT", Rule().source("10.0.0.0/8").drop());

    for (std::size_t round = 1; round <= 2; ++round) {
        ASSERT_TRUE(replace(large));
        EXPECT_EQ(kernel.records.size(), round);
        std::vector<ir::Counters> counters(many + 4);
        counters[many - 1] = {7, 70};
        ASSERT_TRUE(add_counters(counters));
        ASSERT_TRUE(replace(small));
        EXPECT_EQ(kernel.records.size(), round);
        EXPECT_EQ(old_counters(many + 4), counters);
        ASSERT_TRUE(add_counters({{1, 10}, {}, {}, {}, {}}));
    }
    ASSERT_TRUE(replace(large));
    EXPECT_EQ(old_counters(5), (std::vector<ir::Counters>{{1, 10}, {}, {}, {}, {}}));
}

INSTANTIATE_TEST_SUITE_P(Data, ServiceRoomTest, ::testing::Values(BPFILTER_FORM_DATA));

INSTANTIATE_TEST_SUITE_P(Forms, AutoFormTest, testing::Values(BPFILTER_FORM_AUTO));
INSTANTIATE_TEST_SUITE_P(Forms, ServiceTest, forms, form_name);

} // namespace
} // namespace bpfilter::service
