// SPDX-License-Identifier: GPL-2.0
//
// load: no program is loaded for longer than there is time, or with more memory than there is.
//
// What the verifier needs of both is not to be known beforehand: a million instructions looked at
// take 6.1 two thirds of a gigabyte, on nobody's account. So a thread watches those that are being
// loaded and interrupts what takes too long, and while memory is short the largest, those of users
// first: the verifier gives up when a signal waits.
#pragma once

#include "umh/util/deadline.h"

#include <cstddef>
#include <optional>
#include <span>

#include <sys/types.h>

namespace bpfilter {

// What a large program leaves free, of memory of this machine's size.
std::size_t memory_reserve(std::size_t total);

// Is as much free if so many bytes are taken? Where nobody knows, it is.
bool leaves_memory(std::size_t bytes);

enum class Interruption { none, time, memory };

// As long as this is there, what the calling thread loads is for a user of the machine, who has a
// user namespace: it gives way to what is for the machine itself.
class LoadsForUser {
public:
    explicit LoadsForUser(bool is_user);
    ~LoadsForUser();
    LoadsForUser(const LoadsForUser &) = delete;
    LoadsForUser &operator=(const LoadsForUser &) = delete;
};

struct LoadSize {
    std::size_t insns = 0;
    bool for_user = false;
};

// Which of these is given up when memory is short, if any is what it is short for.
std::optional<std::size_t> one_to_give_up(std::span<const LoadSize> loads);

// The calling thread while it loads a program, until its deadline.
class LoadWatch {
public:
    explicit LoadWatch(std::size_t insns);
    ~LoadWatch();
    LoadWatch(const LoadWatch &) = delete;
    LoadWatch &operator=(const LoadWatch &) = delete;

    // What it was interrupted for.
    [[nodiscard]] Interruption interruption() const;

private:
    friend class LoadWatcher;

    pid_t thread_;
    LoadSize size_;
    Deadline::Clock::time_point until_ = Deadline::until();
    Interruption interruption_ = Interruption::none;
};

} // namespace bpfilter
