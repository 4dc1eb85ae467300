/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Our dealings with x_tables, the kernel's registry of matches and targets, which iptables
 * asks through us what this kernel has.
 */
#ifndef KMOD_CALLER_XTABLES_H
#define KMOD_CALLER_XTABLES_H

#include <linux/types.h>

struct net;

/*
 * 0 if there is such a match or target, else ENOENT (no such name) or EPROTONOSUPPORT (no
 * such revision). Loads a module that may have it. Sleeps.
 */
int bpfilter_xtables_find_revision(u8 family, const char *name, u8 revision, bool target);

int bpfilter_xtables_init(void);
void bpfilter_xtables_exit(void);

#endif /* KMOD_CALLER_XTABLES_H */
