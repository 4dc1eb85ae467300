// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of an IPv4 entry: struct ipt_ip. See struct Layout, whose
// functions these are.
#pragma once

#include "umh/core/ir/conditions.h"
#include "umh/util/bytes.h"

#include <string>

namespace bpfilter::blob {

ir::Conditions ipv4_conditions(Bytes ip);
std::string ipv4_text(Bytes ip);

} // namespace bpfilter::blob
