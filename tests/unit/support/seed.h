// SPDX-License-Identifier: GPL-2.0
//
// Where the chance of random tests comes from.
#pragma once

#include <cstdint>

namespace bpfilter::test {

// The number in this variable of the environment.
std::uint64_t number_from(const char *variable, std::uint64_t otherwise);

// BPFILTER_SEED, or a new one. It is printed, and so stands above every failure: set it to
// see the failure again. scripts/check takes it from the commit.
std::uint64_t seed();

} // namespace bpfilter::test
