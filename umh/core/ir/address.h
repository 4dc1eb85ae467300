// SPDX-License-Identifier: GPL-2.0
//
// IR: an address, in network byte order.
#pragma once

#include <array>
#include <cstddef>

namespace bpfilter::ir {

// IPv4 uses the first four bytes.
using Address = std::array<std::byte, 16>;

} // namespace bpfilter::ir
