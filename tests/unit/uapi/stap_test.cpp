// SPDX-License-Identifier: GPL-2.0
//
// The public header of the socket tap in C++, beside those its users include with it.
// (tests/bench/stap.c and tests/stap/tls_tap.c are its users in C.)
#include <linux/bpf.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "uapi/stap.h"

#include <cstddef>
#include <gtest/gtest.h>

namespace {

TEST(StapHeader, StructuresHaveTheSizesOfTheInterface)
{
    EXPECT_EQ(sizeof(ulp_config), 16U);
    EXPECT_EQ(sizeof(stap_params), 16U);
    EXPECT_EQ(offsetof(stap_params, bpf_recv_parse_fd), 8U);
    EXPECT_EQ(sizeof(stap_direction_info), 32U);
    EXPECT_EQ(sizeof(stap_info), 64U);
    EXPECT_EQ(sizeof(stap_framing), 24U);
    EXPECT_EQ(sizeof(stap_rule), 72U);
    EXPECT_EQ(offsetof(stap_rule, value), 40U);
    EXPECT_EQ(sizeof(stap_policy_direction), 32U);
    EXPECT_EQ(sizeof(stap_policy), 64U);
}

TEST(StapHeader, VerdictsAreThoseOfBpf)
{
    EXPECT_EQ(STAP_OK, static_cast<int>(BPF_OK));
    EXPECT_EQ(STAP_DROP, static_cast<int>(BPF_DROP));
    EXPECT_GT(STAP_DISCONNECT, static_cast<int>(BPF_LWT_REROUTE));
}

} // namespace
