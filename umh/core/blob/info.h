// SPDX-License-Identifier: GPL-2.0
//
// The answer to GET_INFO: struct ipt_getinfo.
#pragma once

#include "umh/core/blob/table.h"

#include <cstddef>
#include <vector>

namespace bpfilter::blob {

std::vector<std::byte> encode_info(const DecodedTable &decoded);

} // namespace bpfilter::blob
