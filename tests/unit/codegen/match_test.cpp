// SPDX-License-Identifier: GPL-2.0
//
// Each match of IPv4 at each hook.
#include "tests/unit/support/checking.h"

#include <netinet/in.h>

namespace bpfilter {
namespace {

using namespace test;

#define CHECK(matches, ...) check<Packet>(ir::Family::ipv4, matches, {__VA_ARGS__}, __LINE__)

using Match = NeedsBpf;

Packet tcp(std::uint16_t source = 1000, std::uint16_t destination = 80)
{
    return Packet().tcp(source, destination);
}

TEST_F(Match, Source)
{
    CHECK({from("10.1.2.3")}, {Packet().source("10.1.2.3"), yes}, {Packet().source("10.1.2.4"), no},
          {Packet().destination("10.1.2.3"), no});
    CHECK({from("10.1.2.0", 23)}, {Packet().source("10.1.3.255"), yes},
          {Packet().source("10.1.4.0"), no});
    CHECK({from("10.0.0.0", 8, true)}, {Packet().source("10.255.0.1"), no},
          {Packet().source("11.0.0.1"), yes});
    CHECK({from("0.0.0.0", 0, true)}, {Packet(), no});
    test::SourceAddress odd; // a value outside of its mask
    odd.value[0] = std::byte{10};
    CHECK({odd}, {Packet().source("10.0.0.0"), no});
}

TEST_F(Match, SourceWithAScatteredMask)
{
    test::SourceAddress odd;
    odd.mask = {std::byte{255}, std::byte{0}, std::byte{255}, std::byte{0}};
    odd.value = {std::byte{10}, std::byte{0}, std::byte{7}, std::byte{0}};
    CHECK({odd}, {Packet().source("10.99.7.99"), yes}, {Packet().source("10.99.8.99"), no});
}

TEST_F(Match, Destination)
{
    CHECK({to("10.1.2.3")}, {Packet().destination("10.1.2.3"), yes}, {Packet(), no},
          {Packet().source("10.1.2.3"), no});
    CHECK({to("10.1.2.3", 32, true)}, {Packet().destination("10.1.2.3"), no}, {Packet(), yes});
}

TEST_F(Match, Devices)
{
    CHECK({in("eth0")}, {Packet(), yes, {"eth0", ""}}, {Packet(), no, {"eth01", ""}},
          {Packet(), no, {"eth", ""}}, {Packet(), no, {"", "eth0"}});
    CHECK({out("averylongname15")}, {Packet(), yes, {"", "averylongname15"}},
          {Packet(), no, {"", "averylongname1"}}, {Packet(), no, {"averylongname15", ""}});
    CHECK({in("eth+")}, {Packet(), yes, {"eth", ""}}, {Packet(), yes, {"eth27", ""}},
          {Packet(), no, {"et", ""}});
    CHECK({in("eth0", true)}, {Packet(), no, {"eth0", ""}}, {Packet(), yes, {"eth1", ""}},
          {Packet(), yes, {"", ""}});
    CHECK({out("+")}, {Packet(), yes}, {Packet(), yes, {"", "any"}});
    CHECK({out("+", true)}, {Packet(), no}, {Packet(), no, {"", "any"}});
}

TEST_F(Match, Protocol)
{
    CHECK({protocol(6)}, {tcp(), yes}, {Packet().udp(1, 2), no});
    CHECK({protocol(6, true)}, {tcp(), no}, {Packet().udp(1, 2), yes});
    CHECK({protocol(6 + 256)}, {tcp(), no});
    CHECK({protocol(6 + 256, true)}, {tcp(), yes});
}

TEST_F(Match, Fragment)
{
    CHECK({test::Fragment{}}, {Packet(), no}, {Packet().fragment(0, true), no},
          {Packet().fragment(1, true), yes}, {Packet().fragment(0x1fff, false), yes});
    CHECK({test::Fragment{true}}, {Packet().fragment(0, true), yes},
          {Packet().fragment(0x100, false), no});
}

TEST_F(Match, Never)
{
    CHECK({test::Never{}}, {Packet(), no}, {tcp(), no});
}

} // namespace
} // namespace bpfilter
