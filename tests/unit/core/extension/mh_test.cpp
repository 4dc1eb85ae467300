// SPDX-License-Identifier: GPL-2.0
//
// -m mh: the type of a mobility header.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <linux/netfilter_ipv6/ip6t_mh.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using MhPackets = NeedsBpf;

TEST(Mh, AsksAndPrints)
{
    const auto with = [](const ip6t_mh &mh) { return rule_with("mh", mh).protocol(135).accept(); };
    const auto text = [&with](const ip6t_mh &mh) { return rule_of(with(mh), family6).text; };
    EXPECT_EQ(asked(with({{1, 3}, 1}), family6),
              "require transport, protocol = 135, require mobility, mobility_type in 4..0");
    EXPECT_EQ(error_of(with({{1, 3}, 2}), family6), EINVAL);
    EXPECT_EQ(error_with("mh", ip6t_mh{}), EINVAL); // without -p
    EXPECT_EQ(text({{1, 1}, 0}), "-A INPUT -p mobility-header -m mh --mh-type 1 -j ACCEPT");
    EXPECT_EQ(text({{1, 3}, 1}), "-A INPUT -p mobility-header -m mh ! --mh-type 1:3 -j ACCEPT");
    EXPECT_EQ(text({{0, 255}, 1}), "-A INPUT -p mobility-header -m mh -j ACCEPT");
}

TEST_F(MhPackets, Mobility)
{
    const auto with = [](int proto, int type) {
        return Packet6().header(135, bytes_of({proto, 0, type, 0, 0, 0, 1, 2}));
    };
    const auto asking = [](NumberRange range) { return Matches{protocol(135), Mobility{range}}; };
    CHECK(asking({1, 3, false}), {with(59, 0), no}, {with(59, 1), yes}, {with(59, 3), yes},
          {with(59, 4), no}, {with(58, 1), hotdrop}, {with(59, 1), yes, {}, 2},
          {with(59, 1), hotdrop, {}, 3});
    CHECK(asking({1, 3, true}), {with(59, 0), yes}, {with(59, 2), no}, {with(59, 4), yes});
}

} // namespace

} // namespace bpfilter::test
