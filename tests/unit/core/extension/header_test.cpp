// SPDX-License-Identifier: GPL-2.0
//
// Matches on IPv6's extension headers: what they ask, what is refused, and their text, which
// is ip6tables' own.
#include "tests/unit/support/decoding.h"

#include <linux/netfilter_ipv6/ip6t_ah.h>
#include <linux/netfilter_ipv6/ip6t_frag.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <linux/netfilter_ipv6/ip6t_ipv6header.h>
#include <linux/netfilter_ipv6/ip6t_mh.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>

#include <arpa/inet.h>

namespace bpfilter::test {

namespace {

constexpr auto ipv6 = ir::Family::ipv6;
constexpr std::uint32_t any = 0xffffffff;

template <typename T> Rule rule_with(std::string_view name, const T &info)
{
    return Rule().match(name, 0, bytes_of(info));
}

template <typename T> std::string asked_with(std::string_view name, const T &info)
{
    return asked(rule_with(name, info), ipv6);
}

template <typename T> int error_with(std::string_view name, const T &info)
{
    return error_of(rule_with(name, info), ipv6);
}

template <typename T> std::string text_with(std::string_view name, const T &info)
{
    const auto text = rule_of(rule_with(name, info).accept(), ipv6).text;
    constexpr std::string_view before = "-A INPUT -m ";
    constexpr std::string_view behind = " -j ACCEPT";
    return text.substr(before.size(), text.size() - before.size() - behind.size());
}

in6_addr address(const char *text)
{
    in6_addr value{};
    EXPECT_EQ(inet_pton(AF_INET6, text, &value), 1);
    return value;
}

TEST(HeaderMatches, AreOfIpv6)
{
    for (const auto *name : {"hl", "mh", "ah", "frag", "hbh", "dst", "rt", "eui64", "ipv6header"})
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

TEST(HeaderMatches, HopLimit)
{
    const auto with = [](std::uint8_t mode) { return ip6t_hl_info{mode, 5}; };
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_EQ)), "ttl = 5");
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_NE)), "ttl in 6..4");
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_LT)), "ttl in 0..4");
    EXPECT_EQ(asked_with("hl", with(IP6T_HL_GT)), "ttl in 6..255");
    EXPECT_EQ(asked_with("hl", ip6t_hl_info{IP6T_HL_LT, 0}), "never");
    EXPECT_EQ(asked_with("hl", ip6t_hl_info{IP6T_HL_GT, 255}), "never");
    EXPECT_EQ(error_with("hl", with(4)), EINVAL);
    EXPECT_EQ(text_with("hl", with(IP6T_HL_EQ)), "hl --hl-eq 5");
    EXPECT_EQ(text_with("hl", with(IP6T_HL_NE)), "hl ! --hl-eq 5");
    EXPECT_EQ(text_with("hl", with(IP6T_HL_LT)), "hl --hl-lt 5");
    EXPECT_EQ(text_with("hl", with(IP6T_HL_GT)), "hl --hl-gt 5");
}

TEST(HeaderMatches, Mobility)
{
    const auto with = [](const ip6t_mh &mh) { return rule_with("mh", mh).protocol(135).accept(); };
    const auto text = [&with](const ip6t_mh &mh) { return rule_of(with(mh), ipv6).text; };
    EXPECT_EQ(asked(with({{1, 3}, 1}), ipv6),
              "require transport, protocol = 135, require mobility, mobility_type in 4..0");
    EXPECT_EQ(error_of(with({{1, 3}, 2}), ipv6), EINVAL);
    EXPECT_EQ(error_with("mh", ip6t_mh{}), EINVAL); // without -p
    EXPECT_EQ(text({{1, 1}, 0}), "-A INPUT -p mobility-header -m mh --mh-type 1 -j ACCEPT");
    EXPECT_EQ(text({{1, 3}, 1}), "-A INPUT -p mobility-header -m mh ! --mh-type 1:3 -j ACCEPT");
    EXPECT_EQ(text({{0, 255}, 1}), "-A INPUT -p mobility-header -m mh -j ACCEPT");
}

TEST(HeaderMatches, Authentication)
{
    EXPECT_EQ(asked_with("ah", ip6t_ah{{1, 5}, 16, 1, 3}),
              "require ah, ah_spi in 0x6..0x0, ah_length in 17..15, ah_reserved = 0");
    EXPECT_EQ(asked_with("ah", ip6t_ah{{0, any}, 0, 0, 2}), "require ah");
    EXPECT_EQ(error_with("ah", ip6t_ah{{0, any}, 0, 0, 4}), EINVAL);
    EXPECT_EQ(text_with("ah", ip6t_ah{{1, 1}, 0, 0, 0}), "ah --ahspi 1");
    EXPECT_EQ(text_with("ah", ip6t_ah{{1, 5}, 16, 1, 3}), "ah ! --ahspi 1:5 ! --ahlen 16 --ahres");
    EXPECT_EQ(text_with("ah", ip6t_ah{{0, any}, 0, 0, 0}), "ah");
}

TEST(HeaderMatches, Fragment)
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

TEST(HeaderMatches, Options)
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

TEST(HeaderMatches, Routing)
{
    ip6t_rt rt{.rt_type = 0,
               .segsleft = {1, 2},
               .hdrlen = 40,
               .flags = IP6T_RT_TYP | IP6T_RT_LEN | IP6T_RT_RES | IP6T_RT_FST,
               .invflags = 0,
               .addrs = {address("::1"), address("2001:db8::2")},
               .addrnr = 2};
    EXPECT_EQ(text_with("rt", rt), "rt --rt-type 0 --rt-segsleft 1:2 --rt-len 40 --rt-0-res "
                                   "--rt-0-addrs ::1,2001:db8::2");
    EXPECT_EQ(asked_with("rt", rt),
              "require routing, routing_left in 1..2, routing_length = 40, routing_type = 0, "
              "routing_reserved = 0x0, routing_addresses = 2, "
              "route has 00000000:00000000:00000000:00000001 20010db8:00000000:00000000:00000002");

    rt.flags = IP6T_RT_TYP | IP6T_RT_LEN | IP6T_RT_FST | IP6T_RT_FST_NSTRICT;
    rt.invflags = IP6T_RT_INV_SGS | IP6T_RT_INV_LEN;
    rt.addrnr = 1;
    EXPECT_EQ(text_with("rt", rt), "rt --rt-type 0 ! --rt-segsleft 1:2 ! --rt-len 40 "
                                   "--rt-0-addrs ::1 --rt-0-not-strict");
    EXPECT_EQ(asked_with("rt", rt),
              "require routing, routing_left in 3..0, routing_length in 41..39, routing_type = 0, "
              "route has 00000000:00000000:00000000:00000001");
    rt.flags = IP6T_RT_TYP | IP6T_RT_FST_NSTRICT; // without a list it asks nothing
    EXPECT_EQ(asked_with("rt", rt), "require routing, routing_left in 3..0, routing_type = 0");
    rt = {};
    rt.segsleft[1] = any;
    EXPECT_EQ(text_with("rt", rt), "rt");
    rt.rt_type = 2;
    rt.flags = IP6T_RT_TYP;
    rt.invflags = IP6T_RT_INV_TYP;
    EXPECT_EQ(text_with("rt", rt), "rt ! --rt-type 2");
}

TEST(HeaderMatches, RoutingRefused)
{
    ip6t_rt good{};
    good.flags = IP6T_RT_TYP | IP6T_RT_FST | IP6T_RT_RES;
    good.addrnr = 16;
    const auto error = [&good](auto change) {
        ip6t_rt rt = good;
        change(rt);
        return error_with("rt", rt);
    };
    EXPECT_EQ(error([](ip6t_rt &) {}), 0);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.invflags = 8; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.addrnr = 17; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.addrnr = 0; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.rt_type = 2; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.invflags = IP6T_RT_INV_TYP; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.flags = IP6T_RT_RES; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.flags = IP6T_RT_FST_NSTRICT; }), EINVAL);
    EXPECT_EQ(error([](ip6t_rt &rt) { rt.flags = IP6T_RT_SGS; }), 0);
}

TEST(HeaderMatches, HeaderSet)
{
    EXPECT_EQ(asked_with("ipv6header", ip6t_ipv6header_info{0x81, 0x80, 1}),
              "header_set & 0x181 = 0x1");
    EXPECT_EQ(asked_with("ipv6header", ip6t_ipv6header_info{0x81, 0, 0}),
              "header_set in 0..255, header_set = 129");
    EXPECT_EQ(asked_with("ipv6header", ip6t_ipv6header_info{0x81, 0xff, 0}),
              "header_set in 0..255, header_set in 130..128");
    EXPECT_EQ(error_with("ipv6header", ip6t_ipv6header_info{0x81, 0x80, 0}), EINVAL);
    EXPECT_EQ(error_with("ipv6header", ip6t_ipv6header_info{0x81, 0xff, 0}), 0);
    EXPECT_EQ(text_with("ipv6header", ip6t_ipv6header_info{0xff, 0, 0}),
              "ipv6header --header "
              "hop-by-hop,ipv6-opts,ipv6-route,ipv6-frag,ah,esp,ipv6-nonxt,protocol");
    EXPECT_EQ(text_with("ipv6header", ip6t_ipv6header_info{0x80, 0xff, 1}),
              "ipv6header ! --header hop-by-hop --soft");
}

TEST(HeaderMatches, Eui64WantsAnInput)
{
    const auto error_in = [](const char *chain) {
        return error_of(Blob(ipv6).rule(chain, rule_with("eui64", 0)).build());
    };
    EXPECT_EQ(error_in("INPUT"), 0);
    EXPECT_EQ(error_in("FORWARD"), 0);
    EXPECT_EQ(error_in("OUTPUT"), EINVAL);
    EXPECT_EQ(text_with("eui64", 0), "eui64");
    EXPECT_EQ(asked_with("eui64", 0), "require eui64");
}

} // namespace

} // namespace bpfilter::test
