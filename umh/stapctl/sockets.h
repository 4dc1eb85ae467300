// SPDX-License-Identifier: GPL-2.0
//
// stapctl: the tapped sockets of this network namespace, as sock_diag has them.
#pragma once

#include <stap.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::stapctl {

struct TappedSocket {
    std::string state; // "ESTAB", as ss has it
    std::string local; // "127.0.0.1:80", "[::1]:80"
    std::string peer;
    std::uint64_t inode = 0; // 0: no process has it
    stap_info info{};
};

// Throws std::runtime_error. Only who has CAP_NET_ADMIN is told what is tapped.
std::vector<TappedSocket> tapped_sockets();

} // namespace bpfilter::stapctl
