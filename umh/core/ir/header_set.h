// SPDX-License-Identifier: GPL-2.0
//
// IR: the bits of the field header_set: which headers an IPv6 packet has.
#pragma once

#include <cstdint>

namespace bpfilter::ir::header_set {

inline constexpr std::uint32_t protocol = 1; // what is next, unless that is one of the others
inline constexpr std::uint32_t none = 2;
inline constexpr std::uint32_t esp = 4;
inline constexpr std::uint32_t authentication = 8;
inline constexpr std::uint32_t fragment = 16;
inline constexpr std::uint32_t routing = 32;
inline constexpr std::uint32_t destination = 64;
inline constexpr std::uint32_t hop = 128;

// The walk failed: none of the others is set.
inline constexpr std::uint32_t unknown = 256;

} // namespace bpfilter::ir::header_set
