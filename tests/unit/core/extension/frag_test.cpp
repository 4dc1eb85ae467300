// SPDX-License-Identifier: GPL-2.0
//
// -m frag: the fragment header.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_frag.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using FragPackets = NeedsBpf;

constexpr std::uint32_t any = 0xffffffff;

TEST(Frag, AsksAndPrints)
{
    EXPECT_EQ(asked_with("frag", ip6t_frag{{1, 5}, 8, IP6T_FRAG_RES | IP6T_FRAG_MF, 1}),
              "require frag, frag_id in 0x6..0x0, frag_bits & 0xff0006 = 0x0, "
              "frag_bits & 0x1 = 0x1");
    EXPECT_EQ(asked_with("frag", ip6t_frag{{0, any}, 8, IP6T_FRAG_FST | IP6T_FRAG_NMF, 2}),
              "require frag, frag_bits & 0xfff8 = 0x0, frag_bits & 0x1 = 0x0");
    EXPECT_EQ(error_with("frag", ip6t_frag{{0, any}, 0, 0xff, 0}), 0);
    EXPECT_EQ(error_with("frag", ip6t_frag{{0, any}, 0, 0, 4}), EINVAL);
    EXPECT_EQ(text_with("frag", ip6t_frag{{1, 5}, 0, 0x1c, 0}),
              "frag --fragid 1:5 --fragres --fragfirst --fragmore");
    EXPECT_EQ(text_with("frag", ip6t_frag{{7, 7}, 0, 0x28, 1}),
              "frag ! --fragid 7 --fragfirst --fraglast");
    EXPECT_EQ(text_with("frag", ip6t_frag{{0, any}, 9, 2, 2}), "frag ! --fraglen 9");
    EXPECT_EQ(text_with("frag", ip6t_frag{{0, any}, 0, 0, 0}), "frag");
}

TEST_F(FragPackets, FragmentHeader)
{
    FragmentHeader match{.id = {10, 20, false}};
    const auto with = [](std::uint16_t offset, bool more, std::uint32_t id = 15) {
        return Packet6().hop().fragment(offset, more, id).payload(8);
    };
    CHECK({match}, {with(0, true, 9), no}, {with(0, true, 10), yes}, {with(9, true, 20), yes},
          {with(0, true, 21), no}, {with(0, true), yes, {}, 8}, {with(0, true), hotdrop, {}, 9},
          {with(0, true), hotdrop, {}, 12}, {with(0, true), hotdrop, {}, 13}, {Packet6(), no},
          {Packet6().hop(), no}, {Packet6().hop(), hotdrop, {}, 1});
    match.id.invert = true;
    CHECK({match}, {with(0, true, 9), yes}, {with(0, true, 10), no});
    CHECK({FragmentHeader{.first = true}}, {with(0, false), yes}, {with(1, true), no});
    CHECK({FragmentHeader{.more = true}}, {with(1, true), yes}, {with(1, false), no});
    CHECK({FragmentHeader{.last = true}}, {with(1, true), no}, {with(1, false), yes});
    CHECK({FragmentHeader{.reserved = true}}, {with(1, true), yes},
          {Packet6().fragment(1, true).length(1), no});
    CHECK((Matches{FragmentHeader{.id = {0x80000000, 0xfffffffe}}}),
          {with(0, true, 0x80000000), yes}, {with(0, true, 0xffffffff), no},
          {with(0, true, 0x7fffffff), no});
}

TEST_F(FragPackets, WhatIsBehindALaterFragmentIsNotThere)
{
    const Packet6 packet = Packet6().fragment(1, false).authentication(7).udp(1, 2);
    CHECK({Authentication{}}, {packet, no}, {packet, no, {}, 24}, {packet, hotdrop, {}, 29});
    CHECK({FragmentHeader{}}, {packet, yes});
}

} // namespace

} // namespace bpfilter::test
