// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/frozen.h"

#include "umh/stapctl/process.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>
#include <thread>

#include <sys/ptrace.h>
#include <sys/wait.h>

namespace bpfilter::stapctl {

namespace {

constexpr std::chrono::milliseconds poll_interval{1};

bool is_event(int status)
{
    return status >> 16 == PTRACE_EVENT_STOP;
}

} // namespace

// Threads make threads, and pass on what they have, until none of them runs.
Frozen::Frozen(const Processes &processes, std::chrono::milliseconds limit)
{
    const auto deadline = Clock::now() + limit;
    try {
        while (seize_new(processes()))
            await(deadline);
    } catch (...) {
        release();
        throw;
    }
}

Frozen::~Frozen()
{
    release();
}

// All are asked before any is waited for. Whether there were any.
bool Frozen::seize_new(const std::vector<pid_t> &processes)
{
    bool found = false;
    for (const pid_t pid : processes)
        for (const pid_t thread : living_threads(pid))
            if (!threads_.contains(thread))
                found |= seize(pid, thread);
    return found;
}

bool Frozen::seize(pid_t pid, pid_t thread)
{
    if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0) {
        const int error = errno;
        // One that has just exited may not be traced, whoever asks (EPERM).
        if (error == ESRCH || !is_living(pid, thread))
            return false;
        throw std::system_error(error, std::generic_category(),
                                fmt::format("cannot hold process {}", pid));
    }
    threads_[thread] = {.process = pid};
    ptrace(PTRACE_INTERRUPT, thread, 0, 0);
    return true;
}

void Frozen::await(Clock::time_point deadline)
{
    for (auto thread = threads_.begin(); thread != threads_.end();) {
        switch (look_at(thread->first, thread->second)) {
        case State::stopped:
            ++thread;
            break;
        case State::gone:
            thread = threads_.erase(thread);
            break;
        case State::running:
            if (Clock::now() > deadline)
                throw std::system_error(ETIMEDOUT, std::generic_category(),
                                        fmt::format("thread {} of process {} cannot be held",
                                                    thread->first, thread->second.process));
            std::this_thread::sleep_for(poll_interval);
        }
    }
}

Frozen::State Frozen::look_at(pid_t id, Thread &thread)
{
    if (thread.stopped)
        return State::stopped;
    int status = 0;
    const pid_t come = waitpid(id, &status, WNOHANG | __WALL);
    if (come == 0 || (come < 0 && errno == EINTR))
        return State::running;
    if (come < 0 || !WIFSTOPPED(status))
        return State::gone;
    thread.stopped = true;
    if (!is_event(status)) // it was about to get a signal: that is for later
        thread.signal = WSTOPSIG(status);
    return State::stopped;
}

void Frozen::release()
{
    for (const auto &[thread, held] : threads_)
        if (held.stopped)
            ptrace(PTRACE_DETACH, thread, 0, held.signal);
    threads_.clear();
}

} // namespace bpfilter::stapctl
