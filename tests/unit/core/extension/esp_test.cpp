// SPDX-License-Identifier: GPL-2.0
//
// -m esp, and IPv4's -m ah: SPIs.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter/xt_esp.h>
#include <linux/netfilter_ipv4/ipt_ah.h>

#include <netinet/in.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)
#define CHECK6(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using EspPackets = NeedsBpf;

Rule esp(std::uint32_t min, std::uint32_t max, std::uint8_t invert = 0)
{
    return Rule().protocol(IPPROTO_ESP).match("esp", 0, bytes_of(xt_esp{{min, max}, invert}));
}

Rule ah(std::uint32_t min, std::uint32_t max, std::uint8_t invert = 0)
{
    return Rule().protocol(IPPROTO_AH).match("ah", 0, bytes_of(ipt_ah{{min, max}, invert}));
}

TEST(Esp, Asks)
{
    EXPECT_EQ(asked(esp(1, 9)), "protocol = 50, require ports, word_0 in 0x1..0x9");
    EXPECT_EQ(asked(esp(1, 9, 1)), "protocol = 50, require ports, word_0 in 0xa..0x0");
    EXPECT_EQ(asked(esp(0, 0xffffffff)), "protocol = 50, require ports");
    EXPECT_EQ(asked(esp(9, 1)), "protocol = 50, require ports, never");
    EXPECT_EQ(asked(ah(1, 9)), "protocol = 51, require sctp, word_1 in 0x1..0x9");
    EXPECT_EQ(error_of(esp(1, 9, 2)), EINVAL);
    EXPECT_EQ(error_of(ah(1, 9, 2)), EINVAL);
    EXPECT_EQ(error_of(esp(1, 9).protocol(51)), EINVAL);
    EXPECT_EQ(error_of(ah(1, 9).protocol(50)), EINVAL);
}

TEST(Esp, PrintsAsIptablesDoes)
{
    EXPECT_EQ(rule_of(esp(1, 9, 1).accept()).text,
              "-A INPUT -p esp -m esp ! --espspi 1:9 -j ACCEPT");
    EXPECT_EQ(rule_of(ah(5, 5).accept()).text, "-A INPUT -p ah -m ah --ahspi 5 -j ACCEPT");
    EXPECT_EQ(rule_of(esp(0, 0xffffffff).accept()).text, "-A INPUT -p esp -m esp -j ACCEPT");
}

TEST_F(EspPackets, Spi)
{
    const Matches match{protocol(IPPROTO_ESP), Esp{{0x01020304, 0x01020306}}};
    const auto packet = [](int last) {
        return Packet().protocol(IPPROTO_ESP).l4(bytes_of({1, 2, 3, last, 9, 9, 9, 9}));
    };
    CHECK(match, {packet(3), no}, {packet(4), yes}, {packet(6), yes}, {packet(7), no},
          {packet(4), hotdrop, {}, 1}, {packet(9), hotdrop, {}, 8},
          {packet(4).fragment(1, false), no}, {packet(4).fragment(0, true), yes});
    CHECK6(match, {Packet6().header(IPPROTO_ESP, bytes_of({1, 2, 3, 5, 0, 0, 0, 0})), yes},
           {Packet6().header(IPPROTO_ESP, bytes_of({1, 2, 3, 7, 0, 0, 0, 0})), no},
           {Packet6().header(IPPROTO_ESP, bytes_of({1, 2, 3, 5, 0, 0, 0})), hotdrop});
}

TEST_F(EspPackets, SpiOfAh)
{
    const Matches match{protocol(IPPROTO_AH), Ah{{0x01020304, 0x01020306, true}}};
    const auto packet = [](int last) {
        return Packet().protocol(IPPROTO_AH).l4(bytes_of({9, 9, 9, 9, 1, 2, 3, last, 9, 9, 9, 9}));
    };
    CHECK(match, {packet(3), yes}, {packet(4), no}, {packet(6), no}, {packet(7), yes},
          {packet(3), hotdrop, {}, 1}, {packet(3), hotdrop, {}, 12},
          {packet(3).fragment(1, false), no});
}

} // namespace

} // namespace bpfilter::test
