// SPDX-License-Identifier: GPL-2.0
//
// -m icmp6: type and code.
#include "tests/unit/support/checking.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet6.h"

#include <netinet/in.h>

namespace bpfilter::test {

namespace {

#define CHECK(matches, ...) check<Packet6>(ir::Family::ipv6, matches, {__VA_ARGS__}, __LINE__)

using Icmp6Packets = NeedsBpf;

// All the headers that the walk steps over.
Packet6 chain()
{
    return Packet6().hop().options().routing(0, 0).authentication(1).options().fragment(0, true);
}

TEST_F(Icmp6Packets, TypeAndCode)
{
    Icmp6 match{.type = 3, .code_min = 1, .code_max = 2};
    const Match asked = protocol(IPPROTO_ICMPV6);
    CHECK((Matches{asked, match}), {Packet6().icmp(3, 0), no}, {Packet6().icmp(3, 1), yes},
          {Packet6().icmp(3, 2), yes}, {Packet6().icmp(3, 3), no}, {Packet6().icmp(4, 1), no},
          {Packet6().icmp(3, 1), hotdrop, {}, 1}, {chain().icmp(3, 1), yes},
          {Packet6().fragment(9, false).icmp(3, 1), no});
    match.invert = true;
    CHECK((Matches{asked, match}), {Packet6().icmp(3, 0), yes}, {Packet6().icmp(3, 1), no});
    match = {.type = 255};
    CHECK((Matches{asked, match}), {Packet6().icmp(255, 0), yes}, {Packet6().icmp(254, 0), no});
}

} // namespace

} // namespace bpfilter::test
