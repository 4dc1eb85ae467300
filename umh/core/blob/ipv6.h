// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of an IPv6 entry: struct ip6t_ip6. See struct Layout, whose
// functions these are.
#pragma once

#include "umh/core/ir/conditions.h"
#include "umh/util/bytes.h"

#include <string>

namespace bpfilter::blob {

ir::Conditions ipv6_conditions(Bytes ip);
// Of a kernel for which a protocol is asked by the flag alone.
ir::Conditions ipv6_lax_conditions(Bytes ip);
std::string ipv6_text(Bytes ip);

} // namespace bpfilter::blob
