// SPDX-License-Identifier: GPL-2.0
//
// stapctl: sockets of other processes.
#pragma once

#include "umh/util/fd.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

namespace bpfilter::stapctl {

struct Holder {
    int pid = 0;
    int fd = 0;
    std::string name; // of the process
};

// Who has which socket, by its inode; as far as /proc lets us see.
std::multimap<std::uint64_t, Holder> socket_holders();

// Its inode. Throws std::system_error.
std::uint64_t inode_of(int socket);

// Those who have the socket besides us.
std::vector<pid_t> processes_with(std::uint64_t inode);

// The threads of a process that have not exited. A process goes on without its main thread.
std::vector<int> living_threads(int pid);
bool is_living(int pid, int thread);

// A descriptor of ours for a socket of theirs (pidfd_getfd). Throws std::system_error; before 6.9
// also where the main thread of the process has exited, whose descriptors nobody can ask for.
UniqueFd borrow(int pid, int fd);

} // namespace bpfilter::stapctl
