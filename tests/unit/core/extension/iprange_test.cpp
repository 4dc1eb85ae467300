// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/packet.h"
#include "umh/core/ir/evaluate.h"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <linux/netfilter/xt_iprange.h>

namespace bpfilter::test {

namespace {

using Words = std::array<std::uint32_t, 4>; // the most significant first

nf_inet_addr address(const Words &words)
{
    nf_inet_addr address{};
    for (std::size_t i = 0; i < words.size(); ++i)
        address.all[i] = htonl(words[i]);
    return address;
}

ir::Conditions conditions(const xt_iprange_mtinfo &info, ir::Family family)
{
    return rule_of(Rule().match("iprange", 1, bytes_of(info)).accept(), family).conditions;
}

std::string asked4(std::uint32_t min, std::uint32_t max, std::uint8_t flags)
{
    xt_iprange_mtinfo info{};
    info.src_min = info.dst_min = address({min});
    info.src_max = info.dst_max = address({max});
    info.flags = flags;
    return ir::text(conditions(info, ir::Family::ipv4));
}

TEST(Iprange, OfIpv4IsARange)
{
    EXPECT_EQ(asked4(0x0a000005, 0x0a000010, IPRANGE_SRC), "source in 0xa000005..0xa000010");
    EXPECT_EQ(asked4(0x0a000005, 0x0a000010, IPRANGE_DST), "destination in 0xa000005..0xa000010");
    EXPECT_EQ(asked4(5, 9, IPRANGE_SRC | IPRANGE_SRC_INV), "source in 0xa..0x4");
    EXPECT_EQ(asked4(5, 9, IPRANGE_SRC | IPRANGE_DST_INV), "source in 0x5..0x9");
    EXPECT_EQ(asked4(5, 9, IPRANGE_SRC | IPRANGE_DST),
              "source in 0x5..0x9, destination in 0x5..0x9");
    EXPECT_EQ(asked4(5, 9, IPRANGE_SRC_INV), "always");
    EXPECT_EQ(asked4(9, 5, IPRANGE_SRC), "never");
    EXPECT_EQ(asked4(9, 5, IPRANGE_SRC | IPRANGE_SRC_INV), "always");
    EXPECT_EQ(asked4(0, 0xffffffff, IPRANGE_SRC), "always");
}

// Every address around what the two have, and in all places of theirs.
std::vector<Words> near(const Words &min, const Words &max)
{
    std::vector<std::vector<std::uint32_t>> choices(4);
    for (std::size_t i = 0; i < 4; ++i)
        for (const std::uint32_t base : {min[i], max[i]})
            for (const std::uint32_t step : {~0U, 0U, 1U})
                choices[i].push_back(base + step);
    std::vector<Words> list;
    for (const std::uint32_t a : choices[0])
        for (const std::uint32_t b : choices[1])
            for (const std::uint32_t c : choices[2])
                for (const std::uint32_t d : choices[3])
                    list.push_back({a, b, c, d});
    return list;
}

TEST(Iprange, OfIpv6IsAsItsNumbersAre)
{
    constexpr std::uint32_t most = 0xffffffff;
    const std::vector<std::pair<Words, Words>> ranges{
        {{1, 2, 3, 4}, {1, 2, 3, 4}},       {{1, 2, 3, 4}, {1, 2, 3, 9}},
        {{1, 2, 3, 4}, {1, 2, 9, 1}},       {{1, 2, 3, 4}, {1, 3, 0, 0}},
        {{1, 2, most, most}, {2, 0, 0, 0}}, {{0, 0, 0, 0}, {most, most, most, most}},
        {{0, 0, 0, 1}, {most, 0, 0, most}}, {{5, 0, 0, 0}, {9, most, 7, 7}},
        {{2, 0, 0, 0}, {1, 0, 0, 0}},       {{1, 2, 3, 5}, {1, 2, 3, 4}},
    };
    std::size_t inside = 0;
    for (const auto &[min, max] : ranges) {
        for (const std::uint8_t inverted : {0, int{IPRANGE_DST_INV}}) {
            xt_iprange_mtinfo info{};
            info.dst_min = address(min);
            info.dst_max = address(max);
            info.flags = static_cast<std::uint8_t>(IPRANGE_DST | inverted);
            const ir::Conditions asked = conditions(info, ir::Family::ipv6);
            for (const Words &words : near(min, max)) {
                ir::Key key;
                for (std::size_t i = 0; i < 4; ++i)
                    key[at(ir::Field::destination, i)] = words[i];
                const bool between = min <= words && words <= max;
                ASSERT_EQ(ir::ask(asked, key) == ir::Answer::yes, between != (inverted != 0))
                    << ir::text(asked);
                inside += between ? 1 : 0;
            }
        }
    }
    EXPECT_GT(inside, 1000U) << "the addresses were no test";
}

TEST(Iprange, PrintsAsIptablesDoes)
{
    xt_iprange_mtinfo info{};
    info.src_min = address({0x0a000001});
    info.src_max = address({0x0a0000ff});
    info.flags = IPRANGE_SRC | IPRANGE_SRC_INV;
    EXPECT_EQ(rule_of(Rule().match("iprange", 1, bytes_of(info)).accept()).text,
              "-A INPUT -m iprange ! --src-range 10.0.0.1-10.0.0.255 -j ACCEPT");
    info.dst_min = address({0x20010db8, 0, 0, 1});
    info.dst_max = address({0x20010db8, 0, 0, 9});
    info.flags = IPRANGE_DST;
    EXPECT_EQ(rule_of(Rule().match("iprange", 1, bytes_of(info)).accept(), family6).text,
              "-A INPUT -m iprange --dst-range 2001:db8::1-2001:db8::9 -j ACCEPT");
}

} // namespace

} // namespace bpfilter::test
