// SPDX-License-Identifier: GPL-2.0
//
// The list of extensions (list.def): what is not there is the kernel's.
#pragma once

#include "umh/core/extension/extension.h"

#include <span>

namespace bpfilter::extension {

#define BPFILTER_MATCH(name) extern const MatchExtension name##_match;
#define BPFILTER_TARGET(name) extern const TargetExtension name##_target;
#include "umh/core/extension/list.def"
#undef BPFILTER_MATCH
#undef BPFILTER_TARGET

std::span<const MatchExtension *const> all_matches();
std::span<const TargetExtension *const> all_targets();

} // namespace bpfilter::extension
