// SPDX-License-Identifier: GPL-2.0
//
// -m eui64: a source address made of the sender's Ethernet address.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using Eui64Packets = NeedsBpf;

TEST(Eui64, WantsAnInput)
{
    const auto error_in = [](const char *chain) {
        return error_of(Blob(family6).rule(chain, rule_with("eui64", 0)).build());
    };
    EXPECT_EQ(error_in("INPUT"), 0);
    EXPECT_EQ(error_in("FORWARD"), 0);
    EXPECT_EQ(error_in("OUTPUT"), EINVAL);
    EXPECT_EQ(text_with("eui64", 0), "eui64");
    EXPECT_EQ(asked_with("eui64", 0), "require eui64");
}

TEST_F(Eui64Packets, Sender)
{
    const Devices ethernet{"eth0", "", BPFILTER_LINK_ETHERNET};
    const auto with = [](const char *source) { return Packet6().source(source); };
    CHECK((Matches{Eui64{}}), {with("fe80::11:22ff:fe33:4455"), yes, ethernet},
          {with("fe80::211:22ff:fe33:4455"), no, ethernet},
          {with("fe80::10:22ff:fe33:4455"), no, ethernet},
          {with("fe80::11:22ff:fe33:4454"), no, ethernet},
          {with("fe80::11:22ff:fe33:4555"), no, ethernet},
          {with("fe80::11:22ff:ff33:4455"), no, ethernet},
          {with("fe80::11:22fe:fe33:4455"), no, ethernet},
          {with("fe80::11:22ff:fe33:4455"), no, {"lo", "", BPFILTER_LINK_OTHER}},
          {with("fe80::11:22ff:fe33:4455"), hotdrop, {"eth0", "", BPFILTER_LINK_MISSING}});
}

} // namespace

} // namespace bpfilter::test
