// SPDX-License-Identifier: GPL-2.0
//
// The verdict of a standard target, as a number: ACCEPT and its like are negative, an
// offset in the blob is a jump.
#pragma once

#include <cstdint>

namespace bpfilter::extension {

inline constexpr std::int32_t verdict_drop = -1;   // -NF_DROP - 1
inline constexpr std::int32_t verdict_accept = -2; // -NF_ACCEPT - 1
inline constexpr std::int32_t verdict_queue = -4;  // -NF_QUEUE - 1
inline constexpr std::int32_t verdict_return = -5; // XT_RETURN

constexpr bool is_jump(std::int32_t verdict)
{
    return verdict >= 0;
}

// What xt_check_entry_offsets lets pass: a jump anywhere but to offset 0.
constexpr bool verdict_allowed(std::int32_t verdict)
{
    return verdict > 0 || verdict == verdict_drop || verdict == verdict_accept ||
           verdict == verdict_queue || verdict == verdict_return;
}

} // namespace bpfilter::extension
