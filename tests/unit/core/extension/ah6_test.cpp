// SPDX-License-Identifier: GPL-2.0
//
// -m ah of IPv6: the authentication header.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_ah.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using Ah6Packets = NeedsBpf;

constexpr std::uint32_t any = 0xffffffff;

TEST(Ah6, AsksAndPrints)
{
    EXPECT_EQ(asked_with("ah", ip6t_ah{{1, 5}, 16, 1, 3}),
              "require ah, ah_spi in 0x6..0x0, ah_length in 17..15, ah_reserved = 0");
    EXPECT_EQ(asked_with("ah", ip6t_ah{{0, any}, 0, 0, 2}), "require ah");
    EXPECT_EQ(error_with("ah", ip6t_ah{{0, any}, 0, 0, 4}), EINVAL);
    EXPECT_EQ(text_with("ah", ip6t_ah{{1, 1}, 0, 0, 0}), "ah --ahspi 1");
    EXPECT_EQ(text_with("ah", ip6t_ah{{1, 5}, 16, 1, 3}), "ah ! --ahspi 1:5 ! --ahlen 16 --ahres");
    EXPECT_EQ(text_with("ah", ip6t_ah{{0, any}, 0, 0, 0}), "ah");
}

TEST_F(Ah6Packets, Authentication)
{
    Authentication match{.spi = {100, 200, false}};
    const auto with = [](std::uint32_t spi, std::uint16_t reserved = 0) {
        return Packet6().authentication(spi, reserved);
    };
    CHECK({match}, {with(99), no}, {with(100), yes}, {with(200), yes}, {with(201), no},
          {Packet6(), no}, {with(100), hotdrop, {}, 1}, {with(100), hotdrop, {}, 10},
          {with(100).length(0).payload(9), yes}, {with(100).length(200), hotdrop},
          {with(100).length(0), yes, {}, 4}, {with(100).length(0), hotdrop, {}, 5});
    match = {.length = Number{16, false}};
    CHECK({match}, {with(1), yes}, {with(1).length(1), no});
    match.length->invert = true;
    CHECK({match}, {with(1), no}, {with(1).length(1), yes});
    CHECK({Authentication{.reserved = true}}, {with(1), yes}, {with(1, 1), no},
          {with(1, 0x100), no});
}

} // namespace

} // namespace bpfilter::test
