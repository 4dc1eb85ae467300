// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of an IPv6 entry: struct ip6t_ip6. See struct Layout, whose
// functions these are.
#pragma once

#include "umh/core/ir/match.h"
#include "umh/util/bytes.h"

#include <string>
#include <vector>

namespace bpfilter::blob {

std::vector<ir::Match> ipv6_matches(Bytes ip);
std::string ipv6_text(Bytes ip);

} // namespace bpfilter::blob
