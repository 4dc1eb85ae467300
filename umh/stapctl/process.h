// SPDX-License-Identifier: GPL-2.0
//
// stapctl: sockets of other processes.
#pragma once

#include "umh/util/fd.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bpfilter::stapctl {

struct Holder {
    int pid = 0;
    int fd = 0;
    std::string name; // of the process
};

// Who has which socket, by its inode; as far as /proc lets us see.
std::multimap<std::uint64_t, Holder> socket_holders();

// A descriptor of ours for a socket of theirs (pidfd_getfd). Throws std::system_error.
UniqueFd borrow(int pid, int fd);

} // namespace bpfilter::stapctl
