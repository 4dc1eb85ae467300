// SPDX-License-Identifier: GPL-2.0
//
// xdp: how fast the rules of a device drop, and whether that is a flood.
#pragma once

#include <chrono>
#include <cstdint>

namespace bpfilter::xdp {

class Flood {
public:
    using Clock = std::chrono::steady_clock;

    // `dropped`: by all its rules up to now, by which table does not matter as long as `table`
    // changes with it; `rate`: packets a second that make a flood. One begins when a second, or
    // what was between two looks, reaches the rate, and ends when ten seconds in a row did not
    // reach a quarter of it.
    bool look(Clock::time_point now, std::uint64_t table, std::uint64_t dropped,
              std::uint32_t rate);

private:
    bool known_ = false;
    bool on_ = false;
    std::uint64_t table_ = 0;
    std::uint64_t dropped_ = 0;
    Clock::time_point since_;  // of dropped_
    Clock::time_point strong_; // when it was last more than a quarter
};

} // namespace bpfilter::xdp
