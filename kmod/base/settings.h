/* SPDX-License-Identifier: GPL-2.0 */
/* What the module's parameters say. */
#ifndef KMOD_BASE_SETTINGS_H
#define KMOD_BASE_SETTINGS_H

#include <bpfilter/pipe.h>

/* Written by parameters.c alone, at any time. */
extern struct bpfilter_parameters {
	unsigned int xdp; /* enum bpfilter_xdp_mode */
	unsigned int xdp_rate;
	unsigned int form; /* BPFILTER_FORM_* */
	unsigned int deadline; /* seconds */
} bpfilter_parameters;

/* As the helper is told, in INIT and SETTINGS. */
struct bpfilter_settings bpfilter_get_settings(void);
/* How long the helper may take over one request, in jiffies. */
unsigned long bpfilter_deadline(void);

#endif /* KMOD_BASE_SETTINGS_H */
