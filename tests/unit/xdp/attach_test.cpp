// SPDX-License-Identifier: GPL-2.0
//
// Attaching, in a network namespace of the test's own:
//
//     v0 (10.1.1.1/24) === v1, up     v2 === v3, v2 up, v3 down     lo, up
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/table.h"
#include "umh/load/map.h"
#include "umh/xdp/attach.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <thread>

namespace bpfilter {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

UniqueFd netns_here()
{
    return UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

ino_t inode(const UniqueFd &fd)
{
    struct stat status{};
    return fstat(fd.get(), &status) == 0 ? status.st_ino : 0;
}

class Attach : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
        // A thread of its own makes the namespace, and leaves us the descriptor.
        std::thread([this] {
            if (unshare(CLONE_NEWNET) < 0)
                return;
            ready_ = std::system("set -e; ip link set lo up;"
                                 "ip link add v0 type veth peer name v1;"
                                 "ip link add v2 type veth peer name v3;"
                                 "ip addr add 10.1.1.1/24 dev v0;"
                                 "ip addr add 10.3.3.3/24 dev v3;"
                                 "ip link set v0 up; ip link set v1 up; ip link set v2 up") == 0;
            netns_ = netns_here();
        }).join();
        if (!ready_)
            GTEST_SKIP() << "no network namespace with veth devices can be made here";
    }

    std::vector<std::string> update(const ir::Table &table, bpfilter_xdp_mode mode)
    {
        counters_ = std::move(*create_counters_map(static_cast<std::uint32_t>(table.rules.size())));
        return attachments_.update(netns_.get(), table, ir::Hook::local_in, mode, counters_.get());
    }

    // What `ip` says of a device there.
    std::string show(const std::string &device)
    {
        std::string text;
        std::thread([&] {
            const auto visit = xdp::NetnsVisit::enter(netns_.get());
            FILE *pipe = popen(("ip -d link show " + device).c_str(), "r");
            char line[512];
            while (pipe != nullptr && fgets(line, sizeof(line), pipe) != nullptr)
                text += line;
            if (pipe != nullptr)
                pclose(pipe);
        }).join();
        return text;
    }

    // A command there.
    bool run(const std::string &command)
    {
        bool good = false;
        std::thread([&] {
            const auto visit = xdp::NetnsVisit::enter(netns_.get());
            good = visit && std::system((command + " 2>/dev/null").c_str()) == 0;
        }).join();
        return good;
    }

    bool ready_ = false;
    UniqueFd netns_;
    UniqueFd counters_;
    xdp::Attachments attachments_;
};

ir::Table drops_on(const std::vector<std::string> &devices)
{
    TableBuilder builder;
    ChainBuilder &input = builder.chain("INPUT", ir::Hook::local_in, ir::Accept{});
    for (const std::string &device : devices)
        input.rule({in(device), from("10.1.1.2")}, ir::Drop{});
    return builder.build();
}

TEST_F(Attach, LooksAroundAndComesHome)
{
    const UniqueFd before = netns_here();
    {
        const auto visit = xdp::NetnsVisit::enter(netns_.get());
        ASSERT_TRUE(visit);
        EXPECT_NE(inode(netns_here()), inode(before));
        const auto around = xdp::look_around();
        ASSERT_TRUE(around) << around.error().message;
        std::vector<std::string> names;
        for (const xdp::Device &device : around->devices)
            names.push_back(device.name);
        EXPECT_THAT(names, testing::UnorderedElementsAre("lo", "v0", "v1", "v2"));
        const std::vector<LocalPrefix> expected = {
            {ipv4("10.1.1.1"), 32}, {ipv4("127.0.0.0"), 8}, {ipv4("127.0.0.1"), 32}};
        EXPECT_TRUE(around->prefixes == expected);
    }
    EXPECT_EQ(inode(netns_here()), inode(before));
}

TEST_F(Attach, AttachesUpdatesAndDetaches)
{
    EXPECT_THAT(update(drops_on({"v0", "lo", "absent"}), BPFILTER_XDP_AUTO), IsEmpty());
    EXPECT_THAT(attachments_.devices(), testing::UnorderedElementsAre("lo", "v0"));
    EXPECT_THAT(show("lo"), testing::HasSubstr("xdpgeneric"));
    EXPECT_THAT(show("v0"), testing::HasSubstr("prog/xdp"));
    EXPECT_THAT(show("v0"), testing::Not(testing::HasSubstr("xdpgeneric")));

    EXPECT_THAT(update(drops_on({"v0", "v1"}), BPFILTER_XDP_AUTO), IsEmpty());
    EXPECT_THAT(attachments_.devices(), testing::UnorderedElementsAre("v0", "v1"));
    EXPECT_THAT(show("lo"), testing::Not(testing::HasSubstr("prog/xdp")));

    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_GENERIC), IsEmpty());
    EXPECT_THAT(show("v0"), testing::HasSubstr("xdpgeneric"));

    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_OFF), IsEmpty());
    EXPECT_THAT(attachments_.devices(), IsEmpty());
    EXPECT_THAT(show("v0"), testing::Not(testing::HasSubstr("prog/xdp")));
}

TEST_F(Attach, WhatCannotBeServedIsSaid)
{
    EXPECT_THAT(update(drops_on({"lo"}), BPFILTER_XDP_NATIVE),
                ElementsAre(testing::StartsWith("xdp: lo is left to netfilter: ")));
    EXPECT_THAT(attachments_.devices(), IsEmpty());

    xdp::Attachments other;
    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_AUTO), IsEmpty());
    const ir::Table table = drops_on({"v0"});
    EXPECT_THAT(
        other.update(netns_.get(), table, ir::Hook::local_in, BPFILTER_XDP_AUTO, counters_.get()),
        SizeIs(1));
}

TEST_F(Attach, LeavesDevicesWithAMasterAlone)
{
    if (!run("ip link add br0 type bridge && ip link set v1 master br0"))
        GTEST_SKIP() << "this kernel has no bridges";
    EXPECT_THAT(update(drops_on({"v1", "v2"}), BPFILTER_XDP_AUTO), IsEmpty());
    EXPECT_THAT(attachments_.devices(), ElementsAre("v2"));
}

TEST_F(Attach, LeavesDevicesThatCarryOthersAlone)
{
    if (!run("ip link add link v0 name upper type vlan id 7") &&
        !run("ip link add link v0 name upper type macvlan"))
        GTEST_SKIP() << "this kernel has neither VLAN nor macvlan devices";
    EXPECT_THAT(update(drops_on({"v0", "v2"}), BPFILTER_XDP_AUTO), IsEmpty());
    EXPECT_THAT(attachments_.devices(), ElementsAre("v2"));
}

} // namespace
} // namespace bpfilter
