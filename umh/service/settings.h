// SPDX-License-Identifier: GPL-2.0
//
// Settings: the module's parameters as the helper last heard of them. Written by the
// reading thread, read by all.
#pragma once

#include <bpfilter/pipe.h>

#include <atomic>

namespace bpfilter::service {

struct Settings {
    std::atomic<bpfilter_xdp_mode> xdp = BPFILTER_XDP_OFF;
};

} // namespace bpfilter::service
