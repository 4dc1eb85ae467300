// SPDX-License-Identifier: GPL-2.0
//
// IR: names that people know, for text only.
#pragma once

#include "umh/core/ir/table.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bpfilter::ir {

// "INPUT": the built-in chain of a hook.
std::string_view chain_name(Hook hook);

// Hooks of a bit mask (bit n: hook n): "INPUT/FORWARD"; "no hook" if none.
std::string hook_names(std::uint32_t mask);

// "tcp", or the number if it has no common name.
std::string protocol_name(std::uint16_t protocol);

} // namespace bpfilter::ir
