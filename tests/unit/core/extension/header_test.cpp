// SPDX-License-Identifier: GPL-2.0
//
// Matches on IPv6's extension headers: whose they are, and their sizes.
#include "tests/unit/support/decoding.h"

namespace bpfilter::test {

namespace {

constexpr auto ipv6 = ir::Family::ipv6;

TEST(HeaderMatches, AreOfIpv6)
{
    for (const auto *name : {"hl", "mh", "frag", "hbh", "dst", "rt", "eui64", "ipv6header"})
        EXPECT_EQ(error_of(Rule().match(name, 0, std::vector<std::byte>(8))), ENOENT) << name;
}

TEST(HeaderMatches, SizesAreTheKernels)
{
    const std::vector<std::pair<std::string_view, std::size_t>> sizes = {
        {"hl", 8},   {"mh", 8},   {"ah", 16},   {"frag", 16},      {"hbh", 40},
        {"dst", 40}, {"rt", 280}, {"eui64", 8}, {"ipv6header", 8}, {"icmp6", 8}};
    for (const auto &[name, size] : sizes) {
        for (const std::size_t other : {size - 8, size, size + 8}) {
            Rule rule = Rule().match(name, 0, std::vector<std::byte>(other));
            if (name == "mh")
                rule.protocol(135);
            if (name == "icmp6")
                rule.protocol(58);
            EXPECT_EQ(error_of(rule, ipv6), other == size ? 0 : EINVAL) << name << ' ' << other;
        }
    }
}

} // namespace

} // namespace bpfilter::test
