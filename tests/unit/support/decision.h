// SPDX-License-Identifier: GPL-2.0
//
// How a program says what `evaluate` decides.
#pragma once

#include "umh/core/ir/evaluate.h"

#include <bpfilter/context.h>

#include <cstdint>

namespace bpfilter::test {

inline std::uint32_t verdict_of(ir::Decision decision)
{
    switch (decision) {
    case ir::Decision::accept:
        return BPFILTER_ACCEPT;
    case ir::Decision::queue:
        return BPFILTER_QUEUE;
    case ir::Decision::drop:
        break;
    }
    return BPFILTER_DROP;
}

} // namespace bpfilter::test
