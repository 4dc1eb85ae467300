// SPDX-License-Identifier: GPL-2.0
//
// One rule for each match that only IPv6 has, for blobs that are going to be damaged.
#pragma once

#include "tests/unit/support/blob.h"

#include <linux/netfilter_ipv6/ip6t_ah.h>
#include <linux/netfilter_ipv6/ip6t_frag.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <linux/netfilter_ipv6/ip6t_ipv6header.h>
#include <linux/netfilter_ipv6/ip6t_mh.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>
#include <linux/netfilter_ipv6/ip6t_rt.h>

#include <vector>

namespace bpfilter::test {

inline std::vector<Rule> header_rules()
{
    const ip6t_opts options{.hdrlen = 8,
                            .flags = IP6T_OPTS_LEN | IP6T_OPTS_OPTS,
                            .invflags = 1,
                            .opts = {0x0102, 0x05ff},
                            .optsnr = 2};
    const ip6t_rt route{.rt_type = 0,
                        .segsleft = {1, 2},
                        .hdrlen = 40,
                        .flags = IP6T_RT_TYP | IP6T_RT_LEN | IP6T_RT_RES | IP6T_RT_FST,
                        .invflags = 0,
                        .addrs = {},
                        .addrnr = 2};
    const auto with = [](std::string_view name, const auto &info) {
        return Rule().match(name, 0, bytes_of(info)).drop();
    };
    return {
        with("hl", ip6t_hl_info{IP6T_HL_GT, 5}),
        with("mh", ip6t_mh{{1, 3}, 0}).protocol(135),
        with("ah", ip6t_ah{{1, 5}, 16, 1, 1}),
        with("frag", ip6t_frag{{1, 5}, 0, IP6T_FRAG_RES | IP6T_FRAG_MF, 1}),
        with("hbh", options),
        with("dst", options),
        with("rt", route),
        with("eui64", 0),
        with("ipv6header", ip6t_ipv6header_info{0x81, 0x80, 1}),
        with("ipv6header", ip6t_ipv6header_info{0x81, 0xff, 0}),
        Rule().icmp6({.type = 128}).drop(),
    };
}

} // namespace bpfilter::test
