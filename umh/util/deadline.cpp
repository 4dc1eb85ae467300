// SPDX-License-Identifier: GPL-2.0
#include "umh/util/deadline.h"

#include <algorithm>

namespace bpfilter {

namespace {

// Between two readings of the clock, which may be a slow one.
constexpr std::size_t steps = 256;

thread_local Deadline::Clock::time_point current = Deadline::Clock::time_point::max();
thread_local std::size_t done = 0;

} // namespace

Deadline::Deadline(Clock::time_point until) : before_(current)
{
    current = std::min(current, until);
}

Deadline::~Deadline()
{
    current = before_;
}

Deadline::Clock::time_point Deadline::until()
{
    return current;
}

void Deadline::look(std::size_t work)
{
    done += work;
    if (done < steps)
        return;
    done = 0;
    if (current != Clock::time_point::max() && Clock::now() >= current)
        throw TimeIsUp();
}

} // namespace bpfilter
