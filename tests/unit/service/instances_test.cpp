// SPDX-License-Identifier: GPL-2.0
//
// Tables with matches and targets of the kernel's own.
#include "tests/unit/service/service.h"

#include <cerrno>

#include <linux/netfilter/xt_conntrack.h>

namespace bpfilter::service {
namespace {

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

INSTANTIATE_TEST_SUITE_P(Forms, ServiceKernelTest, forms, form_name);

} // namespace
} // namespace bpfilter::service
