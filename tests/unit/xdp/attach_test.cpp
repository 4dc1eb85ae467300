// SPDX-License-Identifier: GPL-2.0
//
// Attaching, in a network namespace of the test's own:
//
//     v0 (10.1.1.1/24) === v1, up     v2 === v3, v2 up, v3 down     lo, up
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/table.h"
#include "umh/counters/counters.h"
#include "umh/load/map.h"
#include "umh/xdp/attach.h"
#include "umh/xdp/visit.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <net/if.h>
#include <sched.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

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

// Holds links as the module does, and sees the devices of a namespace.
class HoldingKernel final : public pipe::Kernel {
public:
    struct Link {
        UniqueFd fd;
        std::uint32_t mode = BPFILTER_XDP_OFF;
        unsigned programs = 0; // it has been given
        bool guarded = false;
    };

    explicit HoldingKernel(int netns) : netns_(netns)
    {
        const auto visit = xdp::NetnsVisit::enter(netns_);
        for (const char *name : {"lo", "v0", "v1", "v2", "v3"}) {
            bpfilter_look_device device{};
            std::string(name).copy(device.name, sizeof(device.name) - 1);
            device.index = if_nametoindex(name);
            device.flags = std::string(name) == "lo" ? BPFILTER_DEVICE_LOOPBACK : 0;
            devices.push_back(device);
        }
    }

    bpfilter_look_device &device(const std::string &name)
    {
        return *std::ranges::find_if(devices, [&](const auto &d) { return d.name == name; });
    }

    std::vector<std::string> linked() const
    {
        std::vector<std::string> names;
        for (const auto &device : devices)
            if (links.contains(device.index))
                names.emplace_back(device.name);
        return names;
    }

    Result<> room(std::uint64_t, std::uint64_t) override { return fail(EINVAL); }

    Result<pipe::Look> look(std::uint64_t, std::span<const std::string> names) override
    {
        pipe::Look seen;
        seen.generation = generation;
        seen.hidden = hidden;
        for (const std::string &name : names) {
            const auto found =
                std::ranges::find_if(devices, [&](const auto &d) { return d.name == name; });
            bpfilter_look_device device{};
            name.copy(device.name, sizeof(device.name) - 1);
            device.unfit = BPFILTER_UNFIT_ABSENT;
            if (found != devices.end())
                device = *found;
            if (links.contains(device.index))
                device.mode = links.at(device.index).mode;
            seen.devices.push_back(device);
        }
        for (const auto &[index, link] : links) {
            const auto found = std::ranges::find(devices, index, &bpfilter_look_device::index);
            seen.links.push_back({.index = index,
                                  .mode = static_cast<__u8>(link.mode),
                                  .unfit = found->unfit,
                                  .reserved = 0});
        }
        return seen;
    }

    Result<bool> attach(const bpfilter_attach &attach) override
    {
        if (attach.link_fd >= 0)
            links[attach.index] = {UniqueFd(dup(attach.link_fd)), mode, 1, false};
        if (!links.contains(attach.index))
            return fail(ENODEV, "no link");
        Link &link = links.at(attach.index);
        if (attach.prog_fd >= 0) {
            if (bpf_link_update(link.fd.get(), attach.prog_fd, nullptr) < 0)
                return fail(errno, "update");
            ++link.programs;
        }
        if (attach.prog_fd >= 0 || attach.link_fd >= 0)
            link.guarded = attach.guard_fd >= 0;
        EXPECT_EQ(attach.generation, generation);
        ++attaches;
        return true;
    }

    Result<> detach(std::uint64_t, std::uint32_t index) override
    {
        return links.erase(index) != 0 ? Result<>() : fail(ENODEV, "no link");
    }

    Result<UniqueFd> netns(std::uint64_t) override
    {
        ++visits;
        return UniqueFd(dup(netns_));
    }
    Result<> commit(const bpfilter_commit &) override { return fail(ENOSYS); }
    Result<> commit_records(const bpfilter_commit_records &) override { return fail(ENOSYS); }
    Result<> check(std::uint64_t, std::span<const bpfilter_check_entry>, int) override
    {
        return fail(ENOSYS);
    }
    Result<std::vector<UniqueFd>> kept(std::uint64_t) override { return fail(ENOSYS); }
    Result<> give(std::uint64_t, std::span<const int>) override { return fail(ENOSYS); }

    std::vector<bpfilter_look_device> devices;
    std::map<std::uint32_t, Link> links;
    bool hidden = false;
    std::uint32_t mode = BPFILTER_XDP_NATIVE; // of links that come
    unsigned attaches = 0;
    unsigned visits = 0; // to attach something
    std::uint64_t generation = 5;

private:
    int netns_;
};

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
        kernel_ = std::make_unique<HoldingKernel>(netns_.get());
    }

    // Another table every time, unless it is said otherwise.
    std::vector<std::string> update(xdp::Attachments &attachments, const ir::Table &table,
                                    bpfilter_xdp_mode mode, bool same = false)
    {
        const auto rules = static_cast<std::uint32_t>(table.rules.size());
        if (!same) {
            counters_ = std::move(*create_counters_map(rules));
            base_ = std::move(*create_base_map(rules));
            counting_ = *Counting::of_code(counters_.get(), base_.get());
            ++serial_;
        }
        return attachments.update(
            *kernel_, 7,
            {.table = table, .serial = serial_, .counting = counting_, .counters = counters_.get()},
            mode, 1000);
    }

    std::vector<std::string> update(const ir::Table &table, bpfilter_xdp_mode mode,
                                    bool same = false)
    {
        return update(attachments_, table, mode, same);
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

    bool ready_ = false;
    UniqueFd netns_;
    UniqueFd counters_;
    UniqueFd base_;
    Counting counting_;
    std::uint64_t serial_ = 0;
    std::unique_ptr<HoldingKernel> kernel_;
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

TEST_F(Attach, ComesHome)
{
    const UniqueFd before = netns_here();
    {
        const auto visit = xdp::NetnsVisit::enter(netns_.get());
        ASSERT_TRUE(visit);
        EXPECT_NE(inode(netns_here()), inode(before));
    }
    EXPECT_EQ(inode(netns_here()), inode(before));
}

TEST_F(Attach, AttachesAndDetaches)
{
    kernel_->mode = BPFILTER_XDP_GENERIC;
    EXPECT_THAT(update(drops_on({"v0", "lo", "absent"}), BPFILTER_XDP_GENERIC), IsEmpty());
    EXPECT_THAT(kernel_->linked(), ElementsAre("lo", "v0"));
    EXPECT_THAT(show("lo"), testing::HasSubstr("xdpgeneric"));
    EXPECT_THAT(show("v0"), testing::HasSubstr("xdpgeneric"));

    kernel_->mode = BPFILTER_XDP_NATIVE;
    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_THAT(show("v0"), testing::HasSubstr("prog/xdp"));
    EXPECT_THAT(show("v0"), testing::Not(testing::HasSubstr("xdpgeneric")));

    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_OFF), IsEmpty());
    EXPECT_THAT(kernel_->linked(), IsEmpty());
    EXPECT_THAT(show("v0"), testing::Not(testing::HasSubstr("prog/xdp")));
}

TEST_F(Attach, MakesNothingAgainForWhatStayed)
{
    const ir::Table table = drops_on({"v0"});
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE), IsEmpty());
    const std::uint32_t index = kernel_->device("v0").index;
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE, true), IsEmpty());
    EXPECT_EQ(kernel_->links.at(index).programs, 1U);
    EXPECT_EQ(kernel_->attaches, 2U) << "the guard is to be set again";
    kernel_->device("v0").address[5] ^= 1;
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE, true), IsEmpty());
    EXPECT_EQ(kernel_->links.at(index).programs, 2U) << "for another address";
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_EQ(kernel_->links.at(index).programs, 3U) << "for another table";
}

TEST_F(Attach, TakesOverWhatAnotherHelperLeft)
{
    const ir::Table table = drops_on({"v0"});
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE), IsEmpty());
    xdp::Attachments next;
    EXPECT_THAT(update(next, table, BPFILTER_XDP_NATIVE, true), IsEmpty());
    const HoldingKernel::Link &link = kernel_->links.at(kernel_->device("v0").index);
    EXPECT_EQ(link.programs, 2U);
    EXPECT_TRUE(link.guarded);
}

TEST_F(Attach, AnEmptyLeadStaysAsAProgramThatPasses)
{
    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_THAT(update(drops_on({}), BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_THAT(kernel_->linked(), ElementsAre("v0"));
    EXPECT_FALSE(kernel_->links.at(kernel_->device("v0").index).guarded);
    EXPECT_THAT(update(drops_on({"v0"}), BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_TRUE(kernel_->links.at(kernel_->device("v0").index).guarded);
}

TEST_F(Attach, LeavesWhatDoesNotQualify)
{
    EXPECT_THAT(update(drops_on({"v0", "v1"}), BPFILTER_XDP_NATIVE), IsEmpty());
    kernel_->device("v1").unfit = BPFILTER_UNFIT_UPPER;
    EXPECT_THAT(update(drops_on({"v0", "v1"}), BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_THAT(kernel_->linked(), ElementsAre("v0"));
    kernel_->hidden = true;
    EXPECT_THAT(update(drops_on({"v0", "v1"}), BPFILTER_XDP_NATIVE), SizeIs(1));
    EXPECT_THAT(kernel_->linked(), IsEmpty());
}

// Nobody asks for it any more, and something has come to stand on it.
TEST_F(Attach, LeavesWhatDoesNotQualifyAndHasNoRules)
{
    EXPECT_THAT(update(drops_on({"v0", "v1"}), BPFILTER_XDP_NATIVE), IsEmpty());
    kernel_->device("v0").unfit = BPFILTER_UNFIT_UPPER;
    kernel_->device("v1").unfit = BPFILTER_UNFIT_DOWN;
    EXPECT_THAT(update(drops_on({"v2"}), BPFILTER_XDP_NATIVE), IsEmpty());
    EXPECT_THAT(kernel_->linked(), ElementsAre("v1", "v2"));
}

TEST_F(Attach, WhatCannotBeServedIsSaidOnce)
{
    const ir::Table table = drops_on({"lo"});
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE),
                ElementsAre(testing::StartsWith("xdp: lo is left to netfilter: ")));
    EXPECT_THAT(kernel_->linked(), IsEmpty());
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE, true), IsEmpty());
}

// It is looked again as often as every second.
TEST_F(Attach, WhatCannotBeServedIsNotTriedAgainAtOnce)
{
    const ir::Table table = drops_on({"lo"});
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE), SizeIs(1));
    ASSERT_EQ(kernel_->visits, 1U);
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE, true), IsEmpty());
    EXPECT_EQ(kernel_->visits, 1U) << "nothing changed";
    EXPECT_TRUE(attachments_.finished());

    ++kernel_->generation;
    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE, true), IsEmpty());
    EXPECT_EQ(kernel_->visits, 1U) << "it is too soon";
    EXPECT_FALSE(attachments_.finished()) << "but it is not forgotten";

    EXPECT_THAT(update(table, BPFILTER_XDP_NATIVE), SizeIs(1));
    EXPECT_EQ(kernel_->visits, 2U) << "another table";
    kernel_->mode = BPFILTER_XDP_GENERIC;
    EXPECT_THAT(update(table, BPFILTER_XDP_GENERIC, true), IsEmpty());
    EXPECT_THAT(kernel_->linked(), ElementsAre("lo")) << "another mode";
}

// By itself: in a flood, on a device that can bear it.
TEST_F(Attach, ComesInAFloodAndGoes)
{
    const ir::Table table = drops_on({"v0", "v1"});
    kernel_->device("v0").flags |= BPFILTER_DEVICE_GENTLE;
    EXPECT_THAT(update(table, BPFILTER_XDP_AUTO), IsEmpty());
    EXPECT_THAT(kernel_->linked(), IsEmpty()) << "no flood yet";
    const std::vector<ir::Counters> many(table.rules.size(), ir::Counters{1'000'000, 1'000'000});
    ASSERT_TRUE(add_counters(base_.get(), many));
    std::this_thread::sleep_for(std::chrono::milliseconds(950));
    EXPECT_THAT(update(table, BPFILTER_XDP_AUTO, true), IsEmpty());
    EXPECT_THAT(kernel_->linked(), ElementsAre("v0"));
}

} // namespace
} // namespace bpfilter
