/* SPDX-License-Identifier: GPL-2.0 */
/* What this kernel does otherwise than others, found out by trying. */
#ifndef KMOD_PACKET_QUIRK_H
#define KMOD_PACKET_QUIRK_H

#include <linux/types.h>

extern u32 bpfilter_quirks; /* of packets: enum bpfilter_quirk */
extern u32 bpfilter_lax; /* of rules: enum bpfilter_lax */

/* Loads those of ip6t_hbh, ip6t_ah and ip6t_rt that there are: they are asked. Sleeps. */
int bpfilter_quirk_init(void);

#endif /* KMOD_PACKET_QUIRK_H */
