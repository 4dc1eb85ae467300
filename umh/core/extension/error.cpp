// SPDX-License-Identifier: GPL-2.0
//
// The target ERROR: it marks the head of a user chain, which it names, and the end of the
// table. A packet that gets there (by a hand-made jump) is dropped.
#include "umh/core/extension/list.h"

namespace bpfilter::extension {

namespace {

Result<TargetMeaning> decode_error(const TargetUse &)
{
    return TargetMeaning{ir::Drop{}};
}

} // namespace

constexpr TargetExtension error_target{
    {.name = "ERROR", .size = error_name_size},
    decode_error,
};

} // namespace bpfilter::extension
