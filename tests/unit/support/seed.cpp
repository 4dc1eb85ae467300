// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/seed.h"

#include <cstdlib>
#include <iostream>
#include <random>

namespace bpfilter::test {

std::uint64_t number_from(const char *variable, std::uint64_t otherwise)
{
    const char *text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::uint64_t seed()
{
    const std::uint64_t seed = number_from("BPFILTER_SEED", std::random_device()());
    std::cout << "BPFILTER_SEED=" << seed << std::endl; // also if the test aborts
    return seed;
}

} // namespace bpfilter::test
