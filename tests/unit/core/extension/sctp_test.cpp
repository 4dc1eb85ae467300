// SPDX-License-Identifier: GPL-2.0
//
// -m sctp and -m dccp: ports.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter/xt_dccp.h>
#include <linux/netfilter/xt_sctp.h>

#include <netinet/in.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)
#define CHECK6(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using SctpPackets = NeedsBpf;

// T: xt_sctp_info or xt_dccp_info.
template <typename T> T between(std::uint32_t flags, std::uint32_t inverted)
{
    T info{};
    info.spts[0] = 1;
    info.spts[1] = 2;
    info.dpts[0] = 3;
    info.dpts[1] = 4;
    info.flags = static_cast<decltype(info.flags)>(flags);
    info.invflags = static_cast<decltype(info.invflags)>(inverted);
    return info;
}

xt_sctp_info sctp(std::uint32_t flags, std::uint32_t inverted = 0)
{
    return between<xt_sctp_info>(flags, inverted);
}

Rule with(const xt_sctp_info &info)
{
    return Rule().protocol(IPPROTO_SCTP).match("sctp", 0, bytes_of(info));
}

Rule with_dccp(std::uint32_t flags, std::uint32_t inverted = 0)
{
    return Rule()
        .protocol(IPPROTO_DCCP)
        .match("dccp", 0, bytes_of(between<xt_dccp_info>(flags, inverted)));
}

TEST(Sctp, Asks)
{
    EXPECT_EQ(asked(with(sctp(0))), "protocol = 132, require sctp");
    EXPECT_EQ(asked(with(sctp(XT_SCTP_SRC_PORTS))),
              "protocol = 132, require sctp, source_port in 1..2");
    EXPECT_EQ(asked(with(sctp(XT_SCTP_SRC_PORTS | XT_SCTP_DEST_PORTS, XT_SCTP_DEST_PORTS))),
              "protocol = 132, require sctp, source_port in 1..2, destination_port in 5..2");
    EXPECT_EQ(asked(with_dccp(XT_DCCP_DEST_PORTS)),
              "protocol = 33, require sctp, destination_port in 3..4");
}

TEST(Sctp, WhatIsUnknownIsRefused)
{
    EXPECT_EQ(error_of(with(sctp(0, XT_SCTP_SRC_PORTS))), EINVAL) << "inverts what is not asked";
    auto many = sctp(XT_SCTP_SRC_PORTS);
    many.flag_count = 4;
    EXPECT_EQ(error_of(with(many)), 0);
    many.flag_count = 5;
    EXPECT_EQ(error_of(with(many)), EINVAL);
    many.flag_count = -1;
    EXPECT_EQ(error_of(with(many)), EINVAL);
    EXPECT_EQ(error_of(with_dccp(0, XT_DCCP_DEST_PORTS)), EINVAL);
    EXPECT_EQ(error_of(with(sctp(0)).protocol(6)), EINVAL);
}

TEST(Sctp, AllButPortsIsLeftToTheKernel)
{
    const auto called = [](const Rule &rule) {
        const Checked all = checked(Blob().rule("INPUT", rule).build());
        EXPECT_EQ(all.error, 0);
        return all.entries.size();
    };
    EXPECT_EQ(called(with(sctp(XT_SCTP_CHUNK_TYPES))), 1U);
    EXPECT_EQ(called(with(sctp(8))), 1U) << "which refuses it";
    EXPECT_EQ(called(with_dccp(XT_DCCP_TYPE)), 1U);
    EXPECT_EQ(called(with_dccp(XT_DCCP_OPTION | XT_DCCP_SRC_PORTS)), 1U);
    EXPECT_EQ(called(with(sctp(XT_SCTP_SRC_PORTS))), 0U);
    EXPECT_EQ(called(with_dccp(XT_DCCP_SRC_PORTS)), 0U);
}

TEST(Sctp, PrintsAsIptablesDoes)
{
    EXPECT_EQ(rule_of(with(sctp(3, XT_SCTP_SRC_PORTS)).accept()).text,
              "-A INPUT -p sctp -m sctp ! --sport 1:2 --dport 3:4 -j ACCEPT");
    EXPECT_EQ(rule_of(with_dccp(XT_DCCP_DEST_PORTS).accept()).text,
              "-A INPUT -p dccp -m dccp --dport 3:4 -j ACCEPT");
}

PacketBytes header(std::uint8_t source, std::uint8_t destination)
{
    PacketBytes result(12);
    result[1] = std::byte{source};
    result[3] = std::byte{destination};
    return result;
}

TEST_F(SctpPackets, Ports)
{
    const Matches match{protocol(IPPROTO_SCTP), Sctp{{1, 2}, {3, 4, true}}};
    const auto packet = [](std::uint8_t source, std::uint8_t destination) {
        return Packet().protocol(IPPROTO_SCTP).l4(header(source, destination));
    };
    CHECK(match, {packet(1, 5), yes}, {packet(2, 2), yes}, {packet(3, 5), no}, {packet(0, 5), no},
          {packet(1, 3), no}, {packet(1, 4), no}, {packet(1, 5), hotdrop, {}, 1},
          {packet(9, 5), hotdrop, {}, 4}, {packet(1, 5), hotdrop, {}, 9},
          {packet(1, 5).fragment(1, false), no}, {packet(1, 5).fragment(0, true), yes},
          {Packet().udp(1, 5), no});
    const auto packet6 = [](std::uint8_t source, std::uint8_t destination) {
        return Packet6().header(IPPROTO_SCTP, header(source, destination));
    };
    CHECK6(match, {packet6(1, 5), yes}, {packet6(1, 4), no}, {packet6(1, 5), hotdrop, {}, 1},
           {packet6(1, 5), hotdrop, {}, 10});
}

} // namespace

} // namespace bpfilter::test
