// SPDX-License-Identifier: GPL-2.0
//
// records: what lies in an arena, for people and for tests.
#pragma once

#include "umh/core/records/encode.h"

#include <cstddef>
#include <span>
#include <string>

namespace bpfilter::records {

// The records of both ways and what stands behind them, one a line; `bytes` are those from `place`
// on, as encode() wrote them for so many rules.
//     usual
//     0: destination in 0xa000000+0xffffff, protocol = 6 -> count 0
//     1: tcp = 0 -> test flags & 0x17 in 0x2+0x0 ? accept 1 : fail
//     2: -> jump 7 count 2
std::string text(std::span<const std::byte> bytes, std::uint32_t place, const Encoded &encoded,
                 std::size_t rules);

} // namespace bpfilter::records
