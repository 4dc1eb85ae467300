// SPDX-License-Identifier: GPL-2.0
//
// stapctl: processes that stand still.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <vector>

#include <sys/types.h>

namespace bpfilter::stapctl {

// Whoever waits in TCP while its socket is tapped is beyond the tap until its call returns. So all
// threads of those who have the socket leave what they are doing (PTRACE_INTERRUPT), while this
// exists, and begin it again after it: on the tapped socket. Calls that are never begun again after
// a stop (epoll_wait and its like, see signal(7), and any with a time limit of the socket's,
// SO_RCVTIMEO) fail with EINTR.
//
// A thread that cannot leave (in vfork(), or waiting for a disk) would have all the others stand
// still for as long: after `limit` they are let go.
class Frozen {
public:
    // The processes, as often as they are asked for: one that runs may pass its socket on.
    using Processes = std::function<std::vector<pid_t>()>;

    // Throws std::system_error: no right to trace one, or somebody else does; ETIMEDOUT. After that
    // a thread that did not come remains asked to stop until the caller ends.
    Frozen(const Processes &processes, std::chrono::milliseconds limit);
    ~Frozen();
    Frozen(const Frozen &) = delete;
    Frozen &operator=(const Frozen &) = delete;

private:
    using Clock = std::chrono::steady_clock;

    struct Thread {
        pid_t process = 0;
        bool stopped = false;
        int signal = 0; // that it was about to get, or 0
    };
    enum class State { running, stopped, gone };

    bool seize_new(const std::vector<pid_t> &processes);
    bool seize(pid_t pid, pid_t thread);
    void await(Clock::time_point deadline);
    static State look_at(pid_t id, Thread &thread);
    void release();

    std::map<pid_t, Thread> threads_;
};

} // namespace bpfilter::stapctl
