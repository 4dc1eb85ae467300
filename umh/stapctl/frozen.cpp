// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/frozen.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <sys/ptrace.h>
#include <sys/wait.h>

namespace bpfilter::stapctl {

namespace {

namespace fs = std::filesystem;

bool is_event(int status)
{
    return status >> 16 == PTRACE_EVENT_STOP;
}

} // namespace

// Threads make threads, until none of them runs.
Frozen::Frozen(pid_t pid)
{
    try {
        while (freeze_new(pid))
            ;
    } catch (...) {
        release();
        throw;
    }
}

Frozen::~Frozen()
{
    release();
}

// Whether there were any.
bool Frozen::freeze_new(pid_t pid)
{
    bool found = false;
    std::error_code gone;
    for (fs::directory_iterator entry(fmt::format("/proc/{}/task", pid), gone), end; entry != end;
         entry.increment(gone)) {
        const pid_t thread = std::atoi(entry->path().filename().c_str());
        if (threads_.contains(thread))
            continue;
        if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0) {
            if (errno == ESRCH)
                continue;
            throw std::system_error(errno, std::generic_category(),
                                    fmt::format("cannot hold process {}", pid));
        }
        found = true;
        threads_[thread] = 0;
        ptrace(PTRACE_INTERRUPT, thread, 0, 0);
        await(thread);
    }
    return found;
}

// Until it stands. It may be about to get a signal: that is for later.
void Frozen::await(pid_t thread)
{
    int status = 0;
    while (waitpid(thread, &status, __WALL) < 0)
        if (errno != EINTR)
            return;
    if (WIFSTOPPED(status) && !is_event(status))
        threads_[thread] = WSTOPSIG(status);
}

void Frozen::release()
{
    for (const auto &[thread, signal] : threads_)
        ptrace(PTRACE_DETACH, thread, 0, signal);
    threads_.clear();
}

} // namespace bpfilter::stapctl
