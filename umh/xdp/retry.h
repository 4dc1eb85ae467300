// SPDX-License-Identifier: GPL-2.0
//
// xdp: which devices could not be served, and when it is tried again.
//
// To find out that a lead cannot be a program may take seconds, and a look may come every second.
// So what failed is tried again when something changes around the device, ever less often; where
// there is time to spare also without, for it may have failed for want of memory or of time, and
// nobody tells when there is more; and at once for another table or mode.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace bpfilter::xdp {

class Retries {
public:
    using Clock = std::chrono::steady_clock;

    // What was put off was for another table or mode: forgets it.
    void begin(std::uint64_t table, std::uint32_t mode);
    // What surrounds the devices now. A try changes it too (a link comes, and goes again): what the
    // next look sees is no news.
    void see(std::uint64_t generation);

    struct Turn {
        bool may = true;   // it does not wait
        bool fresh = true; // it has not been tried as things are: whoever skips it asks again
    };
    [[nodiscard]] Turn turn(const std::string &device, Clock::time_point now) const;

    // By name: one that goes and comes again has another index.
    // `began`: when it was tried. What takes long waits so long that there is time for all others.
    void put_off(const std::string &device, Clock::time_point began, Clock::time_point now);
    // As long as it is this table and mode, whatever changes around the device.
    void rule_out(const std::string &device);
    void forget(const std::string &device) { waiting_.erase(device); }

private:
    struct Wait {
        Clock::time_point until;
        Clock::duration length{};
        std::optional<std::uint64_t> generation = {}; // by the first look behind it
        bool ruled_out = false;
    };

    std::uint64_t table_ = 0;
    std::uint32_t mode_ = 0;
    std::uint64_t generation_ = 0;
    std::map<std::string, Wait> waiting_;
};

} // namespace bpfilter::xdp
