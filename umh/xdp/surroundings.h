// SPDX-License-Identifier: GPL-2.0
//
// xdp: what a network namespace looks like to its packets: devices and local addresses.
#pragma once

#include "umh/load/map.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"
#include "umh/xdp/program.h"

#include <utility>
#include <vector>

namespace bpfilter::xdp {

struct Surroundings {
    std::vector<Device> devices;       // those that can carry a program
    std::vector<LocalPrefix> prefixes; // sorted, each once
    bool operator==(const Surroundings &) const = default;
};

// Of the namespace the calling thread is in. No socket stays open behind it.
Result<Surroundings> look_around();

// The calling thread in another network namespace; back home when this goes.
class NetnsVisit {
public:
    static Result<NetnsVisit> enter(int netns_fd);
    NetnsVisit(NetnsVisit &&other) noexcept
        : home_(std::move(other.home_)), away_(std::exchange(other.away_, false))
    {
    }
    NetnsVisit &operator=(NetnsVisit &&) = delete;
    ~NetnsVisit();

private:
    NetnsVisit() = default;

    UniqueFd home_;
    bool away_ = false;
};

} // namespace bpfilter::xdp
