// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of an IPv4 entry: struct ipt_ip. See struct Layout, whose
// functions these are.
#pragma once

#include "umh/core/ir/match.h"
#include "umh/util/bytes.h"

#include <string>
#include <vector>

namespace bpfilter::blob {

std::vector<ir::Match> ipv4_matches(Bytes ip);
std::string ipv4_text(Bytes ip);

} // namespace bpfilter::blob
