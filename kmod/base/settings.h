/* SPDX-License-Identifier: GPL-2.0 */
/* The module's parameters. */
#ifndef KMOD_BASE_SETTINGS_H
#define KMOD_BASE_SETTINGS_H

#include <bpfilter/pipe.h>

/* As the helper is told, in INIT and SETTINGS. */
struct bpfilter_settings bpfilter_get_settings(void);
/* How long the helper may take over one request, in jiffies. */
unsigned long bpfilter_deadline(void);

#endif /* KMOD_BASE_SETTINGS_H */
