// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/retry.h"

#include <bpfilter/xdp.h>

#include <algorithm>

namespace bpfilter::xdp {

namespace {

constexpr Retries::Clock::duration shortest = std::chrono::seconds(2);
constexpr Retries::Clock::duration longest = std::chrono::seconds(16);
// As many devices as a namespace may have.
constexpr int all_others = BPFILTER_LINKS_MAX;

} // namespace

void Retries::begin(std::uint64_t table, std::uint32_t mode)
{
    if (table != table_ || mode != mode_)
        waiting_.clear();
    table_ = table;
    mode_ = mode;
}

void Retries::see(std::uint64_t generation)
{
    generation_ = generation;
    for (auto &[device, wait] : waiting_)
        if (!wait.generation)
            wait.generation = generation;
}

Retries::Turn Retries::turn(const std::string &device, Clock::time_point now) const
{
    const auto found = waiting_.find(device);
    if (found == waiting_.end())
        return {};
    const Wait &wait = found->second;
    if (wait.ruled_out)
        return {.may = false, .fresh = false};
    return {.may = now >= wait.until,
            .fresh = wait.generation.value_or(generation_) != generation_};
}

void Retries::put_off(const std::string &device, Clock::time_point began, Clock::time_point now)
{
    Wait &wait = waiting_[device];
    wait.length =
        std::max(std::clamp(2 * wait.length, shortest, longest), all_others * (now - began));
    wait.until = now + wait.length;
    wait.generation.reset();
}

void Retries::rule_out(const std::string &device)
{
    waiting_[device].ruled_out = true;
}

} // namespace bpfilter::xdp
