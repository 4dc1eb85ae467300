// SPDX-License-Identifier: GPL-2.0
//
// Blobs of 32-bit callers for tests: native ones, translated by a program that knows nothing
// of the helper's, only a list of structures and their sizes.
#pragma once

#include "tests/unit/support/blob.h"

namespace bpfilter::test {

// Where things are in the requests of a 32-bit caller.
inline constexpr std::size_t compat_replace_size = 92;
inline constexpr std::size_t compat_info_size = 84;

// The same table, as a 32-bit caller would send it. Extensions that are not on the list keep
// their size; a jump that leads to no entry keeps its offset, and so does a hook.
Payload narrow(const Payload &native);

} // namespace bpfilter::test
