// SPDX-License-Identifier: GPL-2.0
//
// load: no program is loaded for longer than there is time, or with more memory than there is.
//
// What the verifier needs of both is not to be known beforehand: a million instructions looked at
// take 6.1 two thirds of a gigabyte, on nobody's account. So a thread watches those that are being
// loaded and interrupts what takes too long, and the largest while memory is short: the verifier
// gives up when a signal waits.
#pragma once

#include <chrono>
#include <cstddef>

#include <sys/types.h>

namespace bpfilter {

using LoadDeadline = std::chrono::steady_clock::time_point;

// When nobody says until when.
LoadDeadline usual_deadline();

// What a large program leaves free, of memory of this machine's size.
std::size_t memory_reserve(std::size_t total);

// Is as much free if so many bytes are taken? Where nobody knows, it is.
bool leaves_memory(std::size_t bytes);

enum class Interruption { none, time, memory };

// The calling thread while it loads a program.
class LoadWatch {
public:
    LoadWatch(std::size_t insns, LoadDeadline deadline);
    ~LoadWatch();
    LoadWatch(const LoadWatch &) = delete;
    LoadWatch &operator=(const LoadWatch &) = delete;

    // What it was interrupted for.
    [[nodiscard]] Interruption interruption() const;

private:
    friend class LoadWatcher;

    pid_t thread_;
    std::size_t insns_;
    LoadDeadline deadline_;
    Interruption interruption_ = Interruption::none;
};

} // namespace bpfilter
