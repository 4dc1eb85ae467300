// SPDX-License-Identifier: GPL-2.0
//
// The whole helper but for the pipe: requests in, replies out, real maps and programs, and a
// module that only notes what is committed.
#include "tests/unit/support/blob.h"
#include "tests/unit/support/compat.h"
#include "umh/core/ir/counters.h"
#include "umh/service/service.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/netfilter/xt_conntrack.h>
#include <unistd.h>

namespace bpfilter::service {
namespace {

using pipe::Outcome;
using pipe::Request;
using test::Blob;
using test::Rule;

// Keeps what is committed as the module does.
class NotingKernel final : public pipe::Kernel {
public:
    Result<> room(std::uint64_t, std::uint64_t bytes) override
    {
        asked_room.push_back(bytes);
        if (bytes > room_left)
            return fail(ENOMEM);
        return {};
    }

    Result<> commit(const bpfilter_commit &commit) override
    {
        if (refuse != 0)
            return fail(refuse);
        commits.push_back(commit);
        retired = std::move(in_force);
        in_force.clear();
        for (__u32 i = 0; i < commit.kept_count; ++i)
            in_force.emplace_back(dup(commit.kept_fd[i]));
        return {};
    }

    Result<> commit_records(const bpfilter_commit_records &records) override
    {
        if (auto done = commit(records.commit); !done)
            return done;
        this->records.push_back(records);
        return {};
    }

    Result<> check(std::uint64_t, std::span<const bpfilter_check_entry> entries, int error) override
    {
        if (refuse != 0)
            return fail(refuse);
        checks.push_back({{entries.begin(), entries.end()}, error});
        return {};
    }

    Result<std::vector<UniqueFd>> kept(std::uint64_t) override
    {
        std::vector<UniqueFd> fds;
        for (const auto &fd : give_retired ? retired : in_force)
            fds.emplace_back(dup(fd.get()));
        return fds;
    }

    Result<UniqueFd> netns(std::uint64_t) override
    {
        return UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    }

    Result<pipe::Look> look(std::uint64_t, std::span<const std::string> devices) override
    {
        looked_for.assign(devices.begin(), devices.end());
        return pipe::Look{};
    }
    Result<bool> attach(const bpfilter_attach &) override { return fail(ENODEV); }
    Result<> detach(std::uint64_t, std::uint32_t) override { return fail(ENODEV); }

    Result<> give(std::uint64_t, std::span<const int> fds) override
    {
        given.clear();
        for (const int fd : fds)
            given.emplace_back(fd < 0 ? -1 : dup(fd));
        return {};
    }

    std::vector<std::string> looked_for;
    std::vector<std::uint64_t> asked_room;
    std::uint64_t room_left = UINT64_MAX;
    int refuse = 0;
    bool give_retired = false;
    std::vector<bpfilter_commit> commits;
    std::vector<bpfilter_commit_records> records;
    struct Check {
        std::vector<bpfilter_check_entry> entries;
        int error = 0;
    };
    std::vector<Check> checks;
    std::vector<UniqueFd> in_force;
    std::vector<UniqueFd> retired;
    std::vector<UniqueFd> given;
};

struct Info {
    char name[32];
    std::uint32_t valid_hooks, hook_entry[5], underflow[5], num_entries, size;
};

// What a table asks of the module, beside what its programs do without.
constexpr __u32 asked = BPFILTER_COMMIT_PIN | BPFILTER_COMMIT_WATCH;

// In each form.
class ServiceTest : public ::testing::TestWithParam<bpfilter_form> {
protected:
    void SetUp() override
    {
        if (geteuid() != 0)
            GTEST_SKIP() << "making maps and loading programs needs root";
        bpfilter_init in{};
        in.major = BPFILTER_PIPE_MAJOR;
        in.minor = BPFILTER_PIPE_MINOR;
        in.settings.form = GetParam();
        ASSERT_TRUE(ask(BPFILTER_OP_INIT, pipe::bytes_of(in), 0));
    }

    void TearDown() override
    {
        const std::size_t as_data = GetParam() == BPFILTER_FORM_DATA ? kernel.commits.size() : 0;
        EXPECT_EQ(kernel.records.size(), as_data) << "commits in another form than this";
    }

    Outcome ask(std::uint16_t opcode, std::span<const std::byte> payload, std::uint64_t netns = 1,
                std::uint16_t flags = 0)
    {
        return ask(service, opcode, payload, netns, flags);
    }

    static Outcome ask(Service &service, std::uint16_t opcode, std::span<const std::byte> payload,
                       std::uint64_t netns = 1, std::uint16_t flags = 0, std::uint8_t family = 2)
    {
        Request request;
        request.header.opcode = opcode;
        request.header.netns = netns;
        request.header.family = family;
        request.header.flags = flags;
        request.message = pipe::bytes_of(request.header);
        request.message.insert(request.message.end(), payload.begin(), payload.end());
        return service.handle(request);
    }

    Outcome get_info(const char *table = "filter", std::uint64_t netns = 1, std::uint16_t flags = 0)
    {
        bpfilter_table_name name{};
        std::strncpy(name.name, table, sizeof(name.name) - 1);
        return ask(BPFILTER_OP_GET_INFO, pipe::bytes_of(name), netns, flags);
    }

    Info info() { return pipe::payload_as<Info>(get_info().value()).value(); }

    Outcome get_entries(std::uint32_t size) { return get_entries(service, size); }

    static Outcome get_entries(Service &service, std::uint32_t size)
    {
        bpfilter_get_entries in{};
        std::strcpy(in.name, "filter");
        in.size = size;
        return ask(service, BPFILTER_OP_GET_ENTRIES, pipe::bytes_of(in));
    }

    Outcome replace(const Blob &blob)
    {
        return ask(BPFILTER_OP_REPLACE, blob.build(info().num_entries).bytes);
    }

    Outcome add_counters(const std::vector<ir::Counters> &counters)
    {
        std::vector<std::byte> payload(40 + counters.size() * sizeof(ir::Counters));
        std::memcpy(payload.data(), "filter", 6);
        const auto count = static_cast<std::uint32_t>(counters.size());
        std::memcpy(payload.data() + 32, &count, sizeof(count));
        std::memcpy(payload.data() + 40, counters.data(), counters.size() * sizeof(ir::Counters));
        return ask(BPFILTER_OP_ADD_COUNTERS, payload);
    }

    NotingKernel kernel;
    Service service{kernel, 16};
};

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

// A table with something of the kernel's: REPLACE asks it first, and comes again.
class ServiceKernelTest : public ServiceTest {
protected:
    static constexpr std::uint16_t checked = BPFILTER_REQUEST_CHECKED;

    // Whatever the form is asked for, such a table is data.
    void TearDown() override {}

    Outcome replace(const std::vector<std::byte> &payload, std::uint16_t flags = 0)
    {
        return ask(BPFILTER_OP_REPLACE, payload, 1, flags);
    }

    std::size_t commits() const { return kernel.commits.size(); }

    const std::vector<std::byte> some = std::vector<std::byte>(16, std::byte{7});
    const Blob blob = Blob()
                          .rule("INPUT", Rule().tcp().accept())
                          .rule("INPUT", Rule().match("limit", 0, some).accept())
                          .rule("OUTPUT", Rule().target("REJECT", 0, some));
};

TEST_P(ServiceKernelTest, IsCheckedAndThenPutInForce)
{
    info();
    const auto payload = blob.build(4);
    ASSERT_TRUE(replace(payload.bytes));
    EXPECT_EQ(commits(), 1u) << "nothing is put in force before it is checked";
    ASSERT_EQ(kernel.checks.size(), 1u);
    const auto &check = kernel.checks[0];
    EXPECT_EQ(check.error, 0);
    ASSERT_EQ(check.entries.size(), 2u);
    EXPECT_EQ(check.entries[0].offset, payload.offsets[1]);
    EXPECT_EQ(check.entries[0].hooks, 2u);
    EXPECT_EQ(check.entries[1].offset, payload.offsets[4]);
    EXPECT_EQ(check.entries[1].hooks, 8u);
    EXPECT_EQ(info().num_entries, 4u) << "that of the table in force";

    const std::size_t as_records = kernel.records.size();
    ASSERT_TRUE(replace(payload.bytes, checked));
    EXPECT_EQ(kernel.checks.size(), 1u);
    EXPECT_EQ(kernel.records.size(), as_records + 1) << "whatever the form that is asked for";
    EXPECT_EQ(info().num_entries, 7u);
    EXPECT_TRUE(get_entries(info().size));
}

// A rule that never matches asks no instance, but they are there.
TEST_P(ServiceKernelTest, InstancesThatNobodyCallsMayBeOfCode)
{
    info();
    const auto payload =
        Blob().rule("INPUT", Rule().in("+", true).match("limit", 0, some).accept()).build(4).bytes;
    const std::size_t as_records = kernel.records.size();
    ASSERT_TRUE(replace(payload));
    ASSERT_TRUE(replace(payload, checked));
    EXPECT_EQ(kernel.records.size(), as_records + (GetParam() == BPFILTER_FORM_DATA ? 1 : 0));
}

TEST_P(ServiceKernelTest, ProgramsThatAskForTheConnectionAreToldOfIt)
{
    info();
    xt_conntrack_mtinfo3 states{};
    states.match_flags = XT_CONNTRACK_STATE;
    states.state_mask = XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED);
    const auto payload =
        Blob()
            .rule("INPUT", Rule().match("conntrack", 3, test::bytes_of(states)).accept())
            .build(4)
            .bytes;
    EXPECT_EQ(kernel.commits.back().flags & BPFILTER_COMMIT_CONNECTION, 0u);
    ASSERT_TRUE(replace(payload));
    ASSERT_TRUE(replace(payload, checked));
    EXPECT_NE(kernel.commits.back().flags & BPFILTER_COMMIT_CONNECTION, 0u);
}

TEST_P(ServiceKernelTest, WhatIsWrongBehindIsTheKernelsToSay)
{
    info();
    EXPECT_TRUE(replace(blob.build(99).bytes)) << "another number of counters";
    auto payload = blob.build(4);
    payload.put(0, std::array<char, 8>{"nosuch"});
    EXPECT_TRUE(replace(payload.bytes));
    Blob wrong = blob;
    wrong.rule("OUTPUT", Rule().match("tcp", 0, std::vector<std::byte>(16)));
    EXPECT_TRUE(replace(wrong.build(4).bytes));
    ASSERT_EQ(kernel.checks.size(), 3u);
    EXPECT_EQ(kernel.checks[0].error, EAGAIN);
    EXPECT_EQ(kernel.checks[1].error, ENOENT);
    EXPECT_EQ(kernel.checks[2].error, EINVAL);
    EXPECT_EQ(commits(), 1u);
}

// Between the two requests the table in force may have become another one.
TEST_P(ServiceKernelTest, WhatIsWrongWhenItComesAgainIsAnswered)
{
    info();
    EXPECT_EQ(replace(blob.build(5).bytes, checked).error().code, EAGAIN);
    EXPECT_EQ(commits(), 1u);
    EXPECT_TRUE(kernel.checks.empty());
}

TEST_P(ServiceKernelTest, ARefusedCheckIsAnswered)
{
    info();
    kernel.refuse = ENOMEM;
    EXPECT_EQ(replace(blob.build(4).bytes).error().code, ENOMEM);
}

TEST_P(ServiceKernelTest, ASuccessorListsTheSame)
{
    info();
    const auto payload = blob.build(4).bytes;
    ASSERT_TRUE(replace(payload, checked));
    const auto before = get_entries(info().size).value();

    Service successor(kernel, 16);
    bpfilter_table_name name{};
    std::strcpy(name.name, "filter");
    auto replay = pipe::bytes_of(name);
    replay.insert(replay.end(), payload.begin(), payload.end());
    ASSERT_TRUE(ask(successor, BPFILTER_OP_REPLAY, replay, 1, checked));
    EXPECT_EQ(get_entries(successor, static_cast<std::uint32_t>(before.size())).value(), before);
    EXPECT_TRUE(kernel.checks.empty());
}

TEST_P(ServiceKernelTest, A32BitCallerIsNotShownIt)
{
    info();
    ASSERT_TRUE(replace(blob.build(4).bytes, checked));
    EXPECT_EQ(get_info("filter", 1, BPFILTER_REQUEST_COMPAT).error().code, EINVAL);
    bpfilter_get_entries in{};
    std::strcpy(in.name, "filter");
    EXPECT_EQ(
        ask(BPFILTER_OP_GET_ENTRIES, pipe::bytes_of(in), 1, BPFILTER_REQUEST_COMPAT).error().code,
        EINVAL);
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

const auto forms = testing::Values(BPFILTER_FORM_CODE, BPFILTER_FORM_DATA);
std::string form_name(const testing::TestParamInfo<bpfilter_form> &info)
{
    return info.param == BPFILTER_FORM_DATA ? "data" : "code";
}
INSTANTIATE_TEST_SUITE_P(Data, ServiceRoomTest, ::testing::Values(BPFILTER_FORM_DATA));

INSTANTIATE_TEST_SUITE_P(Forms, AutoFormTest, testing::Values(BPFILTER_FORM_AUTO));
INSTANTIATE_TEST_SUITE_P(Forms, ServiceTest, forms, form_name);
INSTANTIATE_TEST_SUITE_P(Forms, ServiceCompatTest, forms, form_name);
INSTANTIATE_TEST_SUITE_P(Forms, ServiceKernelTest, forms, form_name);

} // namespace
} // namespace bpfilter::service
