// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/flood.h"

namespace bpfilter::xdp {

namespace {

// Looks come when something changed, too: that is too soon to tell.
constexpr auto shortest = std::chrono::milliseconds(900);
constexpr auto quiet = std::chrono::seconds(10);

} // namespace

bool Flood::look(Clock::time_point now, std::uint64_t table, std::uint64_t dropped,
                 std::uint32_t rate)
{
    const bool begins = !known_ || table != table_;
    if (!begins && now - since_ < shortest)
        return on_;
    if (!begins) {
        const double seconds = std::chrono::duration<double>(now - since_).count();
        const double speed = static_cast<double>(dropped - dropped_) / seconds;
        if (speed >= rate)
            on_ = true;
        if (speed * 4 >= rate)
            strong_ = now;
        else if (now - strong_ >= quiet)
            on_ = false;
    }
    known_ = true;
    table_ = table;
    dropped_ = dropped;
    since_ = now;
    return on_;
}

} // namespace bpfilter::xdp
