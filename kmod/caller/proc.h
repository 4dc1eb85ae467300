/* SPDX-License-Identifier: GPL-2.0 */
/* /proc/net/ip_tables_names, _matches and _targets, in every network namespace. */
#ifndef KMOD_CALLER_PROC_H
#define KMOD_CALLER_PROC_H

int bpfilter_proc_init(void);
void bpfilter_proc_exit(void);

#endif /* KMOD_CALLER_PROC_H */
