// SPDX-License-Identifier: GPL-2.0
//
// stapctl: a process that stands still.
#pragma once

#include <map>

#include <sys/types.h>

namespace bpfilter::stapctl {

// Whoever waits in TCP while its socket is tapped is beyond the tap until its call returns. So all
// threads of the process leave what they are doing (PTRACE_INTERRUPT), while this exists, and
// begin it again after it: on the tapped socket. Calls that wait with a time limit of the socket's
// (SO_RCVTIMEO) fail with EINTR, as after any signal that nobody handles. Others who share the
// socket are not held.
class Frozen {
public:
    // Throws std::system_error: no right to trace it, or somebody else does.
    explicit Frozen(pid_t pid);
    ~Frozen();
    Frozen(const Frozen &) = delete;
    Frozen &operator=(const Frozen &) = delete;

private:
    bool freeze_new(pid_t pid);
    void await(pid_t thread);
    void release();

    std::map<pid_t, int> threads_; // and the signal that it was about to get, or 0
};

} // namespace bpfilter::stapctl
