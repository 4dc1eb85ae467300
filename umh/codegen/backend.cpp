// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/backend.h"

#include "bpfilter/context.h"

#include <linux/if_ether.h>

namespace bpfilter::codegen {

const Backend netfilter = {
    .name = "netfilter",
    .type = BPF_PROG_TYPE_SCHED_CLS,
    .flags = 0,
    .l3 = 0,
    .load_bytes = BPF_FUNC_skb_load_bytes,
    .counts_ip_length = false,
    .accept = BPFILTER_ACCEPT,
    .drop = BPFILTER_DROP,
    .queue = BPFILTER_QUEUE,
};

const Backend xdp = {
    .name = "xdp",
    .type = BPF_PROG_TYPE_XDP,
    .flags = BPF_F_XDP_HAS_FRAGS,
    .l3 = ETH_HLEN,
    .load_bytes = BPF_FUNC_xdp_load_bytes,
    .counts_ip_length = true,
    .accept = XDP_PASS,
    .drop = XDP_DROP,
    .queue = XDP_PASS,
};

} // namespace bpfilter::codegen
