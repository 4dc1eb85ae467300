// SPDX-License-Identifier: GPL-2.0
//
// The program of a device: what it drops and counts, and all that it must pass on.
#include "tests/unit/support/bpf.h"
#include "tests/unit/support/random.h"
#include "tests/unit/support/seed.h"
#include "tests/unit/support/table.h"
#include "umh/counters/counters.h"
#include "umh/load/map.h"
#include "umh/load/program.h"
#include "umh/xdp/lead.h"
#include "umh/xdp/program.h"

#include <bpf/bpf.h>
#include <cstdlib>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdexcept>
#include <type_traits>

namespace bpfilter {
namespace {

using namespace test;

constexpr std::array<std::byte, 6> mac{std::byte{2}, std::byte{0}, std::byte{0x5e},
                                       std::byte{1}, std::byte{2}, std::byte{3}};

template <typename T> T need(Result<T> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>)
        return std::move(*result);
}

class LoadedDevice {
public:
    explicit LoadedDevice(const ir::Table &table, bool loopback = false)
        : rules_(static_cast<std::uint32_t>(table.rules.size())),
          context_(need(create_context_map(xdp::context_size()))),
          counters_(need(create_counters_map(rules_))), base_(need(create_base_map(rules_)))
    {
        local_ = need(create_local_map());
        for (const LocalPrefix &prefix :
             {LocalPrefix{ipv4("192.0.2.2"), 32, true}, LocalPrefix{ipv4("192.0.2.9"), 32, true},
              LocalPrefix{ipv4("192.0.2.10"), 32, false}, LocalPrefix{ipv4("127.0.0.0"), 8, true}})
            need(set_local(local_.get(), prefix));
        guard_ = need(create_guard_map());
        set_guard(true);
        const auto lead = xdp::leading_rules(table, ir::Hook::local_in);
        const xdp::Device device{1, "eth0", mac, loopback};
        const codegen::Program program = need(xdp::generate(xdp::specialise(lead, "eth0"), device));
        program_ = need(load_program(program, {.context = context_.get(),
                                               .counters = counters_.get(),
                                               .local = local_.get(),
                                               .guard = guard_.get()}));
    }

    void set_guard(bool on) const
    {
        const std::uint32_t first = 0;
        const std::uint64_t value = on ? 1 : 0;
        if (bpf_map_update_elem(guard_.get(), &first, &value, BPF_ANY) < 0)
            throw std::runtime_error("guard");
    }

    std::uint32_t run(const PacketBytes &frame) const
    {
        return run_program(program_.get(), frame).result;
    }

    std::vector<ir::Counters> counters() const
    {
        return need(read_counters(counters_.get(), base_.get(), rules_));
    }

private:
    std::uint32_t rules_;
    UniqueFd context_;
    UniqueFd counters_;
    UniqueFd base_;
    UniqueFd local_;
    UniqueFd guard_;
    UniqueFd program_;
};

// 0: counts UDP. 1: accepts port 1. 2: drops UDP to 53 and 54. 3: drops 8 TCP ports.
BuiltTable table()
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .count({in("eth0"), protocol(IPPROTO_UDP)})
        .rule({protocol(IPPROTO_UDP), test::Udp{{1, 1, false}, {}}}, ir::Accept{})
        .rule({in("eth0"), protocol(IPPROTO_UDP), test::Udp{{}, {53, 54, false}}}, ir::Drop{})
        .rule({in("eth0"), protocol(IPPROTO_TCP), test::Tcp{{}, {80, 87, false}}}, ir::Drop{});
    return builder.build();
}

class XdpProgram : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
        // Programs ask for routes where they are run: here there are none, and no forwarding.
        if (unshare(CLONE_NEWNET) < 0)
            GTEST_SKIP() << "no network namespace can be made here";
    }

    // Passed on, and nothing counted.
    static void expect_passed(const LoadedDevice &device, const PacketBytes &frame,
                              const char *what)
    {
        const std::vector<ir::Counters> before = device.counters();
        EXPECT_EQ(device.run(frame), static_cast<std::uint32_t>(XDP_PASS)) << what;
        EXPECT_TRUE(device.counters() == before) << what;
    }

    static void expect_dropped(const LoadedDevice &device, const PacketBytes &frame,
                               const char *what)
    {
        EXPECT_EQ(device.run(frame), static_cast<std::uint32_t>(XDP_DROP)) << what;
    }
};

Packet query()
{
    return Packet().udp(1000, 53).payload(10);
}

PacketBytes framed(const Packet &packet)
{
    return ethernet(packet.bytes(), mac);
}

TEST_F(XdpProgram, DropsAndCountsEveryRuleOnTheWay)
{
    const LoadedDevice device(table());
    expect_dropped(device, framed(query()), "UDP");
    expect_dropped(device, framed(Packet().tcp(5, 87)), "TCP");
    PacketBytes padded = framed(query());
    padded.resize(padded.size() + 8); // as short frames are
    expect_dropped(device, padded, "padded");
    const std::vector<ir::Counters> expected = {{2, 76}, {0, 0}, {2, 76}, {1, 40}, {0, 0}, {0, 0}};
    EXPECT_TRUE(device.counters() == expected);
}

TEST_F(XdpProgram, DropsOnlyWhatIsGuarded)
{
    const LoadedDevice device(table());
    expect_dropped(device, framed(query()), "guarded");
    device.set_guard(false);
    expect_passed(device, framed(query()), "the guard is clear");
    device.set_guard(true);
    expect_dropped(device, framed(query()), "guarded again");
}

TEST_F(XdpProgram, IdlePassesEverything)
{
    const UniqueFd program = need(load_program(need(xdp::generate_idle()), {}));
    EXPECT_EQ(run_program(program.get(), framed(query())).result,
              static_cast<std::uint32_t>(XDP_PASS));
}

TEST_F(XdpProgram, PassesWhatTheRulesDoNotDrop)
{
    const LoadedDevice device(table());
    expect_passed(device, framed(Packet().udp(1, 53)), "accepted before");
    expect_passed(device, framed(Packet().udp(1000, 55)), "another port");
    expect_passed(device, framed(Packet().icmp(8, 0)), "another protocol");
}

TEST_F(XdpProgram, PassesFramesThatAreNotItsOwn)
{
    const LoadedDevice device(table());
    std::array<std::byte, 6> other = mac;
    other[5] ^= std::byte{1};
    expect_passed(device, ethernet(query().bytes(), other), "to another device");
    other = mac;
    other[0] ^= std::byte{2};
    expect_passed(device, ethernet(query().bytes(), other), "to another device");
    other.fill(std::byte{0xff});
    expect_passed(device, ethernet(query().bytes(), other), "broadcast");
    expect_passed(device, ethernet(query().bytes(), mac, 0x86dd), "IPv6");
    expect_passed(device, ethernet(query().bytes(), mac, 0x8100), "tagged");
}

TEST_F(XdpProgram, PassesPacketsNotToThisMachine)
{
    const LoadedDevice device(table());
    for (const char *address : {"192.0.2.1", "192.0.2.3", "255.255.255.255", "224.0.0.1",
                                "192.0.2.255", "0.0.0.0", "127.0.0.1", "192.0.2.10"})
        expect_passed(device, framed(query().destination(address)), address);
    expect_dropped(device, framed(query().destination("192.0.2.9")), "another local address");
}

// What bf_local says is no more than a list: the routing tables of this moment decide.
TEST_F(XdpProgram, PassesWhatWouldBeSentOn)
{
    const LoadedDevice device(table());
    expect_dropped(device, framed(query()), "without forwarding");
    if (std::system(
            "set -e; ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward;"
            "ip link add r0 type veth peer name r1; ip link set r0 up; ip link set r1 up") != 0)
        GTEST_SKIP() << "no network namespace with a veth can be made here";
    expect_dropped(device, framed(query()), "without a route");
    ASSERT_EQ(std::system("ip route add 192.0.2.0/24 dev r0"), 0);
    expect_passed(device, framed(query()), "with a route");
    ASSERT_EQ(std::system("ip address add 192.0.2.2/32 dev r0"), 0);
    expect_dropped(device, framed(query()), "local");
    ASSERT_EQ(std::system("ip rule add pref 1 lookup local; ip rule del pref 0;"
                          "ip rule add pref 0 to 192.0.2.2 lookup 9;"
                          "ip route add 192.0.2.2/32 dev r0 table 9"),
              0);
    expect_passed(device, framed(query()), "local, behind a rule that says otherwise");
}

TEST_F(XdpProgram, PassesSourcesThatRoutingRefuses)
{
    const LoadedDevice device(table());
    for (const char *address : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "255.255.255.255",
                                "192.0.2.9", "192.0.2.10"})
        expect_passed(device, framed(query().source(address)), address);
    for (const char *address : {"1.0.0.0", "126.0.0.1", "128.0.0.1", "223.255.255.255"})
        expect_dropped(device, framed(query().source(address)), address);
}

TEST_F(XdpProgram, OnLoopbackItsOwnAddressesTalk)
{
    const LoadedDevice device(table(), true);
    expect_dropped(device, framed(query().source("127.0.0.1").destination("127.8.9.10")), "127");
    expect_dropped(device, framed(query().source("192.0.2.2").destination("192.0.2.9")), "own");
    expect_passed(device, framed(query().source("127.0.0.1").destination("128.0.0.1")), "other");
}

TEST_F(XdpProgram, PassesFragmentsAndOptions)
{
    const LoadedDevice device(table());
    expect_passed(device, framed(query().fragment(0, true)), "first fragment");
    expect_passed(device, framed(query().fragment(1, false)), "last fragment");
    expect_passed(device, framed(query().fragment(0x1000, false)), "far fragment");
    expect_passed(device, framed(query().ip_options(PacketBytes(4, std::byte{1}))), "options");
}

TEST_F(XdpProgram, PassesBrokenHeaders)
{
    const LoadedDevice device(table());
    const auto broken = [](std::size_t offset, unsigned value, bool sum = true) {
        PacketBytes packet = query().bytes();
        packet.at(offset) = static_cast<std::byte>(value);
        if (sum)
            checksum(packet);
        return ethernet(packet, mac);
    };
    expect_dropped(device, broken(8, 1), "the same with another TTL");
    expect_passed(device, broken(0, 0x55), "version");
    expect_passed(device, broken(0, 0x44), "header length");
    expect_passed(device, broken(3, 19), "total length less than the header");
    expect_passed(device, broken(3, 39), "total length more than the frame");
    expect_passed(device, broken(10, 0x11, false), "checksum");
    for (const std::size_t size : {std::size_t{14}, std::size_t{33}}) {
        PacketBytes frame = framed(query());
        frame.resize(size);
        expect_passed(device, frame, "truncated");
    }
}

// netfilter drops these on the spot; it shall do so itself. What is behind the total length
// is padding, and not an L4 header.
TEST_F(XdpProgram, PassesTruncatedL4Headers)
{
    const LoadedDevice device(table());
    const auto cut = [](const Packet &whole, std::size_t length, std::size_t frame) {
        PacketBytes packet = whole.bytes();
        packet[3] = static_cast<std::byte>(length);
        checksum(packet);
        PacketBytes bytes = ethernet(packet, mac);
        bytes.resize(14 + frame);
        return bytes;
    };
    expect_passed(device, cut(query(), 27, 38), "UDP, padded");
    expect_passed(device, cut(query(), 27, 27), "UDP");
    expect_dropped(device, cut(query(), 28, 28), "UDP, just there");
    expect_passed(device, cut(Packet().tcp(1, 80), 39, 40), "TCP, padded");
    expect_dropped(device, cut(Packet().tcp(1, 80), 40, 40), "TCP, just there");
}

// 6.1 refuses a program with a function that nobody calls.
TEST_F(XdpProgram, LoadsWithoutAnythingToCount)
{
    TableBuilder builder;
    builder.chain("INPUT", ir::Hook::local_in, ir::Accept{})
        .rule({in("eth0"), test::Icmp{.invert = true}}, ir::Drop{});
    const LoadedDevice device(builder.build());
    expect_passed(device, framed(Packet().icmp(8, 0)), "never matches");
}

// Whatever is dropped, INPUT would have dropped, with the same counts; what is passed on was
// not counted. And of packets that nothing else speaks against, all that the lead drops are
// dropped.
TEST_F(XdpProgram, AgreesWithTheReferenceOnRandomLeads)
{
    const std::uint64_t first = seed();
    unsigned drops = 0;
    for (std::uint64_t i = 0; i < 150; ++i) {
        Generator generator(first + i);
        const BuiltTable table = generator.table();
        const auto lead = xdp::leading_rules(table, ir::Hook::local_in);
        if (xdp::specialise(lead, "eth0").empty())
            continue;
        const LoadedDevice device(table, i % 2 == 0);
        for (int n = 0; n < 60; ++n) {
            PacketBytes packet = generator.packet();
            if (n % 2 == 0)
                std::ranges::copy(ipv4("192.0.2.2"), packet.begin() + 16);
            if (n % 4 == 0)
                std::ranges::copy(ipv4("10.0.0.2"), packet.begin() + 12);
            checksum(packet);
            std::vector<ir::Counters> expected = device.counters();
            const Outcome outcome = judge(table, ir::Hook::local_in, packet, Devices{"eth0", ""});
            const bool ends_in_lead =
                !outcome.counted.empty() &&
                std::ranges::all_of(outcome.counted,
                                    [&](auto id) {
                                        return std::ranges::find(lead, id, &ir::Rule::id) !=
                                               lead.end();
                                    }) &&
                std::holds_alternative<ir::Drop>(table.rules[outcome.counted.back()].verdict);
            const bool plain =
                n % 4 == 0 && packet[0] == std::byte{0x45} &&
                (packet[6] & std::byte{0x3f}) == std::byte{0} && packet[7] == std::byte{0} &&
                static_cast<std::size_t>(packet[2]) * 256 + static_cast<std::size_t>(packet[3]) ==
                    packet.size();
            const bool dropped = device.run(ethernet(packet, mac)) == XDP_DROP;
            if (dropped) {
                ASSERT_TRUE(ends_in_lead) << "table " << i << ", " << describe(packet);
                for (const ir::RuleId id : outcome.counted)
                    expected[id] += {1, packet.size()};
                ++drops;
            } else {
                ASSERT_FALSE(plain && ends_in_lead) << "table " << i << ", " << describe(packet);
            }
            ASSERT_EQ(difference(table, device.counters(), expected), "")
                << "table " << i << ", " << describe(packet);
        }
    }
    EXPECT_GT(drops, 50U);
}

} // namespace
} // namespace bpfilter
