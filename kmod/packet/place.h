/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the tables of ip_tables stand. The kernel's own matches and targets rely on it: what is
 * right in one table is wrong at another place, behind conntrack for one, or outside of the nat
 * core.
 */
#ifndef KMOD_PACKET_PLACE_H
#define KMOD_PACKET_PLACE_H

#include <linux/types.h>

struct bpfilter_commit;

/* Are all its hooks those of the table by that name? Others may be missing. */
bool bpfilter_place_is_right(const struct bpfilter_commit *commit);

#endif /* KMOD_PACKET_PLACE_H */
