// SPDX-License-Identifier: GPL-2.0
//
// tap: the program that finds out how long the message is that begins at byte 0.
#pragma once

#include "umh/codegen/program.h"
#include "umh/util/result.h"

#include <stap.h>

namespace bpfilter::tap {

// Framing must be one with a parser: LENGTH, DELIMITER or FIXED, and have been checked.
Result<codegen::Program> generate_parser(const stap_framing &framing);

} // namespace bpfilter::tap
