// SPDX-License-Identifier: GPL-2.0
//
// Settings: what the helper last heard of the module and its parameters. Written by the
// reading thread, read by all.
#pragma once

#include <bpfilter/pipe.h>

#include <atomic>

namespace bpfilter::service {

struct Settings {
    std::atomic<bpfilter_xdp_mode> xdp = BPFILTER_XDP_OFF;
    std::atomic<__u32> rate = 0; // packets dropped in a second that make a flood
    std::atomic<bpfilter_form> form = BPFILTER_FORM_AUTO;
    std::atomic<__u32> lax = 0; // a set of enum bpfilter_lax; once and for all
};

} // namespace bpfilter::service
