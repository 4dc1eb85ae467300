// SPDX-License-Identifier: GPL-2.0
//
// Of a kernel that takes a protocol for asked by the flag alone: what such rules ask, and what is
// left to the kernel because of it.
#include "tests/unit/support/decoding.h"

#include <bpfilter/pipe.h>

#include <gmock/gmock.h>

namespace bpfilter::test {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto ipv6 = ir::Family::ipv6;
const std::vector<std::byte> some(16, std::byte{0x5a});

const blob::Layout &lax()
{
    return **blob::find_layout(ipv6, BPFILTER_LAX_PROTOCOL);
}

Rule unflagged(Rule rule)
{
    rule.ip6().flags &= static_cast<std::uint8_t>(~IP6T_F_PROTO);
    return rule;
}

Result<blob::DecodedTable> decode(const Payload &payload, std::vector<blob::KernelEntry> &checks,
                                  const blob::Layout &layout = lax())
{
    return blob::decode_replace(payload.bytes, 0, layout, checks);
}

blob::DecodedTable decoded(const Blob &blob)
{
    std::vector<blob::KernelEntry> checks;
    return decode(blob.build(), checks).value();
}

std::string asked_there(const Rule &rule)
{
    return ir::text(decoded(Blob(ipv6).rule("INPUT", rule)).table.rules.at(0).conditions);
}

TEST(Lax, AProtocolIsAskedWithTheFlagAlone)
{
    EXPECT_EQ(asked_there(unflagged(Rule().protocol(17))), "always");
    EXPECT_EQ(asked_there(unflagged(Rule().protocol(17, true))), "always");
    EXPECT_EQ(asked_there(unflagged(Rule().in("eth0", true).protocol(17))),
              asked_there(Rule().in("eth0", true)));
    EXPECT_EQ(asked_there(Rule().protocol(17)), "require transport, protocol = 17");
    Rule any = Rule();
    any.ip6().flags = IP6T_F_PROTO;
    EXPECT_EQ(asked_there(any), "require transport");
    EXPECT_EQ(asked_there(Rule().tcp({.dport = {80, 80}})),
              "require transport, protocol = 6, require tcp, destination_port = 80");
}

TEST(Lax, ItIsPrintedAllTheSame)
{
    const auto table = decoded(Blob(ipv6).rule("INPUT", unflagged(Rule().tcp().accept())));
    EXPECT_EQ(table.table.rules.at(0).text, "-A INPUT -p tcp -m tcp -j ACCEPT");
}

TEST(Lax, TheFlagIsNotSet)
{
    Rule rule = unflagged(Rule().protocol(6).accept());
    rule.ip6().flags = IP6T_F_TOS;
    const Payload payload = Blob(ipv6).rule("INPUT", rule).build();
    std::vector<blob::KernelEntry> checks;
    const auto flags = [&](const blob::Layout &layout) {
        return load<std::uint8_t>(decode(payload, checks, layout)->entries,
                                  offsetof(ip6t_ip6, flags));
    };
    EXPECT_EQ(flags(lax()), IP6T_F_TOS);
    EXPECT_EQ(flags(native(ipv6)), IP6T_F_TOS | IP6T_F_PROTO);
}

TEST(Lax, MatchesOfTransportAreTheKernelsThere)
{
    Blob blob(ipv6);
    blob.rule("INPUT", unflagged(Rule().tcp().tcp().accept()))
        .rule("INPUT", Rule().tcp().accept())
        .rule("OUTPUT", unflagged(Rule().icmp6().accept()))
        .rule("OUTPUT", unflagged(Rule().protocol(135).match("mh", 0, std::vector<std::byte>(8))))
        .rule("OUTPUT", unflagged(Rule().protocol(6).match("hl", 0, std::vector<std::byte>(8))));
    const Payload payload = blob.build();
    // INPUT 0 to 2, FORWARD 3, OUTPUT 4 to 7
    std::vector<blob::KernelEntry> checks;
    EXPECT_TRUE(decode(payload, checks));
    EXPECT_THAT(checks, ElementsAre(blob::KernelEntry{payload.offsets[0], 2},
                                    blob::KernelEntry{payload.offsets[4], 8},
                                    blob::KernelEntry{payload.offsets[5], 8}));
    checks.clear();
    EXPECT_TRUE(decode(payload, checks, native(ipv6)));
    EXPECT_THAT(checks, IsEmpty()) << "of a kernel that sets the flag";
}

// What the kernel knows of the fragment it knows by the rules that asked for a protocol.
TEST(Lax, TheKernelIsToldWhereAProtocolIsAsked)
{
    Blob blob(ipv6);
    blob.rule("INPUT", Rule().in("+", true).tcp().accept())
        .rule("INPUT", Rule().source("2001:db8::/32").udp().accept())
        .rule("INPUT", unflagged(Rule().udp().accept()))
        .rule("INPUT", unflagged(Rule().protocol(6)))
        .rule("INPUT", Rule().in("+"));
    EXPECT_EQ(ir::text(decoded(blob).table),
              "filter ipv6 depth 1\n"
              "INPUT 0 policy 5\n"
              "FORWARD 6 policy 6\n"
              "OUTPUT 7 policy 7\n"
              "0: never -> accept\n"
              "1: source = 0x20010db8, require transport, kernel transport, protocol = 17, "
              "require ports -> accept\n"
              "2: kernel 0 -> accept\n"
              "3: always -> continue\n"
              "4: always -> continue\n"
              "5: always -> accept\n"
              "6: always -> accept\n"
              "7: always -> accept\n"
              "8: always -> drop\n");
}

// Only where it matters.
TEST(Lax, OtherTablesAreAsOnOtherKernels)
{
    Blob blob(ipv6);
    blob.rule("INPUT", Rule().udp().accept())
        .rule("INPUT", Rule().match("limit", 0, some))
        .rule("INPUT", unflagged(Rule().protocol(6)))
        .rule("INPUT", unflagged(Rule().protocol(6).match("hl", 0, std::vector<std::byte>(8))));
    EXPECT_EQ(ir::text(decoded(blob).table.rules.at(0).conditions),
              "require transport, protocol = 17, require ports");
}

// They have no flag.
TEST(Lax, Ipv4IsAsEver)
{
    EXPECT_EQ(*blob::find_layout(ir::Family::ipv4, ~0U), *blob::find_layout(ir::Family::ipv4));
}

} // namespace

} // namespace bpfilter::test
