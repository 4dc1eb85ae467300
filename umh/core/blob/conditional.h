// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of an entry, as far as both families have it: questions about
// addresses and devices, and their text. What offsets and flags they have is known to
// ipv4.cpp and ipv6.cpp.
#pragma once

#include "umh/core/ir/conditions.h"
#include "umh/util/bytes.h"

#include <array>
#include <cstddef>
#include <string>

namespace bpfilter::blob {

// What becomes of bits of an address outside its mask: ip_tables compares them with zeros, so
// that nothing equals it; ip6_tables does not look at them.
enum class StrayBits { compared, ignored };

// An address and its mask of `size` bytes, at these offsets. `first`: source or destination.
void ask_address(ir::Conditions &to, ir::Field first, Bytes ip, std::size_t value, std::size_t mask,
                 std::size_t size, StrayBits stray, bool invert);

// A name and its mask. All 16 bytes of the name are compared under the mask: "eth+" has one of
// three bytes, "eth0" one of five (its NUL is compared). `first`: in_0 or out_0.
void ask_interface(ir::Conditions &to, ir::Field first, Bytes ip, std::size_t name,
                   std::size_t mask, bool invert);

// Whether the conditions asked so far never hold.
bool never(const ir::Conditions &conditions);

// " ! -i eth+"; nothing if nothing is asked.
std::string interface_text(const char *option, Bytes ip, std::size_t name, std::size_t mask,
                           bool invert);

} // namespace bpfilter::blob
