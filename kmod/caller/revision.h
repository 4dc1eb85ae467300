/* SPDX-License-Identifier: GPL-2.0 */
/* What this kernel has: iptables asks x_tables, the registry of matches and targets, through us. */
#ifndef KMOD_CALLER_REVISION_H
#define KMOD_CALLER_REVISION_H

#include <linux/types.h>

/*
 * 0 if there is such a match or target, else ENOENT (no such name) or EPROTONOSUPPORT (no
 * such revision). Loads a module that may have it. Sleeps.
 */
int bpfilter_revision_find(u8 family, const char *name, u8 revision, bool target);

#endif /* KMOD_CALLER_REVISION_H */
