/* SPDX-License-Identifier: GPL-2.0 */
/* What this kernel does otherwise than others, found out by trying: enum bpfilter_quirk. */
#ifndef KMOD_PACKET_QUIRK_H
#define KMOD_PACKET_QUIRK_H

#include <linux/types.h>

extern u32 bpfilter_quirks;

/* Loads ip6t_hbh and ip6t_ah, which are asked, if there are such modules. Sleeps. */
int bpfilter_quirk_init(void);

#endif /* KMOD_PACKET_QUIRK_H */
