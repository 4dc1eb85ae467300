// SPDX-License-Identifier: GPL-2.0
//
// tap: the program that decides about one whole message.
#pragma once

#include "umh/codegen/program.h"
#include "umh/tap/policy.h"
#include "umh/util/result.h"

namespace bpfilter::tap {

Result<codegen::Program> generate_verdict(const Direction &direction);

} // namespace bpfilter::tap
