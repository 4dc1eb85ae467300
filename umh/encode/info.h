// SPDX-License-Identifier: GPL-2.0
//
// The answer to GET_INFO: struct ipt_getinfo, the same in all layouts but for the numbers.
#pragma once

#include "umh/decode/table.h"

#include <cstddef>
#include <vector>

namespace bpfilter::encode {

std::vector<std::byte> encode_info(const decode::DecodedTable &decoded,
                                   const decode::Layout &layout);

} // namespace bpfilter::encode
