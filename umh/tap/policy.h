// SPDX-License-Identifier: GPL-2.0
//
// tap: what a socket's programs are to do, as its owner declared it (uapi/stap.h, POLICIES).
#pragma once

#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <stap.h>

#include <optional>
#include <vector>

namespace bpfilter::tap {

// A value of which all fields are in range.
struct Direction {
    stap_framing framing{};
    std::uint32_t verdict = STAP_OK;
    std::vector<stap_rule> rules;
};

struct Policy {
    std::optional<Direction> send; // none: it is not tapped
    std::optional<Direction> recv;
};

// EINVAL, with what is wrong in which rule of which direction.
Result<Policy> decode_policy(Bytes bytes);

} // namespace bpfilter::tap
