/* SPDX-License-Identifier: GPL-2.0 */
/* The module's parameters. */
#ifndef BF_SETTINGS_H
#define BF_SETTINGS_H

#include <bpfilter/pipe.h>

/* As the helper is told, in INIT and SETTINGS. */
struct bpfilter_settings bf_settings(void);
/* How long the helper may take over one request, in jiffies. */
unsigned long bf_deadline(void);

#endif /* BF_SETTINGS_H */
