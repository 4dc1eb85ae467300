// SPDX-License-Identifier: GPL-2.0
//
// xdp: the calling thread in another network namespace; back home when this goes.
#pragma once

#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <utility>

namespace bpfilter::xdp {

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
