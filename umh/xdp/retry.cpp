// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/retry.h"

#include <bpfilter/xdp.h>

#include <algorithm>

namespace bpfilter::xdp {

namespace {

constexpr Retries::Clock::duration shortest = std::chrono::seconds(2);
constexpr Retries::Clock::duration longest = std::chrono::seconds(16);
// As many devices as a namespace may have, so that a round of tries comes to an end.
constexpr int all_others = BPFILTER_LINKS_MAX;

} // namespace

void Retries::begin(std::uint64_t table, std::uint32_t mode)
{
    if (table != table_ || mode != mode_)
        waiting_.clear();
    table_ = table;
    mode_ = mode;
}

const Retries::Wait *Retries::waiting(const std::string &device, Clock::time_point now) const
{
    const auto found = waiting_.find(device);
    return found != waiting_.end() && now < found->second.until ? &found->second : nullptr;
}

void Retries::rule_out(const std::string &device)
{
    waiting_[device].until = Clock::time_point::max();
}

void Retries::put_off(const std::string &device, Clock::time_point began, Clock::time_point now,
                      std::uint64_t generation)
{
    Wait &wait = waiting_[device];
    wait.length =
        std::max(std::clamp(2 * wait.length, shortest, longest), all_others * (now - began));
    wait.until = now + wait.length;
    wait.generation = generation;
}

} // namespace bpfilter::xdp
