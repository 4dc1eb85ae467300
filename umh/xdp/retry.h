// SPDX-License-Identifier: GPL-2.0
//
// xdp: which devices could not be served, and when it is tried again.
//
// A look may come every second, and to find out that a lead cannot be a program may take seconds;
// but it may have failed for want of memory or of time, and nobody tells when there is more. So it
// is tried again ever less often, whatever changes around the device, and at once for another table
// or mode.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace bpfilter::xdp {

class Retries {
public:
    using Clock = std::chrono::steady_clock;

    // What was put off was for another table or mode: forgets it.
    void begin(std::uint64_t table, std::uint32_t mode);

    struct Wait {
        Clock::time_point until;
        Clock::duration length{};
        std::uint64_t generation = 0; // of what surrounded the device then

        // Something has changed that may matter.
        [[nodiscard]] bool has_news(std::uint64_t now) const
        {
            return until != Clock::time_point::max() && now != generation;
        }
    };

    // Or nullptr: it may be tried.
    [[nodiscard]] const Wait *waiting(const std::string &device, Clock::time_point now) const;
    // As long as it is this table and mode, whatever changes around the device.
    void rule_out(const std::string &device);
    // By name: one that goes and comes again has another index.
    // `began`: when it was tried. What takes long is tried so seldom that there is time for all
    // others.
    void put_off(const std::string &device, Clock::time_point began, Clock::time_point now,
                 std::uint64_t generation);
    void forget(const std::string &device) { waiting_.erase(device); }

private:
    std::uint64_t table_ = 0;
    std::uint32_t mode_ = 0;
    std::map<std::string, Wait> waiting_;
};

} // namespace bpfilter::xdp
