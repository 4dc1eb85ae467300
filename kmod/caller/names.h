/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BPFILTER_NAMES_H
#define BPFILTER_NAMES_H

/* Whoever looks for ip_tables finds it, and whoever loads it hears that it is there: names.c. */

int bpfilter_names_init(void);
/* Once the socket options are ours. */
void bpfilter_names_show(void);
void bpfilter_names_exit(void);

#endif
