// SPDX-License-Identifier: GPL-2.0
//
// -m hbh and -m dst: hop-by-hop and destination options.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_opts.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using HbhPackets = NeedsBpf;

TEST(Hbh, AsksAndPrints)
{
    const ip6t_opts opts{8, IP6T_OPTS_LEN | IP6T_OPTS_OPTS, 1, {0x0102, 0x05ff}, 2};
    EXPECT_EQ(asked_with("hbh", opts),
              "require hop, hop_length in 9..7, hop_options in 2..16, hop_option_0 = 258, "
              "hop_option_1 in 1280..1535");
    EXPECT_EQ(asked_with("dst", opts),
              "require dst, dst_length in 9..7, dst_options in 2..16, dst_option_0 = 258, "
              "dst_option_1 in 1280..1535");
    EXPECT_EQ(asked_with("dst", ip6t_opts{8, IP6T_OPTS_OPTS, 0, {0x0003}, 1}),
              "require dst, dst_options in 1..16, dst_option_0 in 0..255");
    EXPECT_EQ(asked_with("hbh", ip6t_opts{8, 0, 0, {0x0102}, 1}), "require hop");
    EXPECT_EQ(error_with("hbh", ip6t_opts{8, 4, 0, {}, 0}), EINVAL);
    EXPECT_EQ(error_with("dst", ip6t_opts{8, 0, 2, {}, 0}), EINVAL);
    EXPECT_EQ(error_with("dst", ip6t_opts{8, 0, 0, {}, 16}), 0);
    EXPECT_EQ(error_with("dst", ip6t_opts{8, 0, 0, {}, 17}), EINVAL);
    EXPECT_EQ(text_with("hbh", opts), "hbh ! --hbh-len 8 --hbh-opts 1:2,5");
    EXPECT_EQ(text_with("dst", opts), "dst ! --dst-len 8 --dst-opts 1:2,5");
    EXPECT_EQ(text_with("dst", ip6t_opts{}), "dst");
}

TEST_F(HbhPackets, Length)
{
    Options match{.header = Options::Header::hop, .length = Number{16, false}};
    CHECK({match}, {Packet6().hop(PacketBytes(14)), yes}, {Packet6().hop(), no},
          {Packet6().options(PacketBytes(14)), no},
          {Packet6().hop(PacketBytes(14)), hotdrop, {}, 1},
          {Packet6().options().hop(PacketBytes(14)), yes});
    match.length->invert = true;
    CHECK({match}, {Packet6().hop(PacketBytes(14)), no}, {Packet6().hop(), yes});
}

TEST_F(HbhPackets, InOrder)
{
    using Option = Options::Option;
    const auto asking = [](std::vector<Option> options) {
        return Matches{
            Options{.header = Options::Header::destination, .options = std::move(options)}};
    };
    const auto with = [](std::initializer_list<int> rest) {
        return Packet6().options(bytes_of(rest));
    };
    CHECK(asking({{5, 2}}), {with({5, 2, 9, 9, 1, 0}), yes}, {with({5, 3, 9, 9, 9, 0}), no},
          {with({1, 0, 5, 2, 9, 9}), no}, {Packet6().hop(bytes_of({5, 2})), no});
    CHECK(asking({{5, 255}, {0, 7}, {0, 255}, {1, 0}}), {with({5, 0, 0, 0, 1, 0}), yes},
          {with({5, 1, 9, 0, 0, 1}), no}, {with({5, 1, 9, 0, 1, 0}), no},
          {with({5, 9, 0, 0, 1, 0}), no});
    // Too long, but the last.
    CHECK(asking({{1, 0}, {5, 200}}), {with({1, 0, 5, 200, 0, 0}), yes});
    CHECK(asking({{1, 0}, {5, 200}, {0, 0}}), {with({1, 0, 5, 200, 0, 0}), no});
    // No room for a length, and one for it.
    CHECK(asking({{1, 3}, {7, 255}}), {with({1, 3, 9, 9, 9, 7}), no},
          {with({1, 2, 9, 9, 7, 7}), no});
    CHECK(asking({{1, 2}, {7, 255}}), {with({1, 2, 9, 9, 7, 7}), yes});
    CHECK(asking(std::vector<Option>(6)), {with({}), yes}, {with({0, 0, 0, 0, 0, 1}), no});
    CHECK(asking(std::vector<Option>(7)), {with({}), no});
    CHECK(asking(std::vector<Option>(16)), {with({}), no}, {Packet6().options(PacketBytes(14)), no},
          {Packet6().options(PacketBytes(22)), yes});
}

} // namespace

} // namespace bpfilter::test
