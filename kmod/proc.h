/* SPDX-License-Identifier: GPL-2.0 */
/* /proc/net/ip_tables_names, _matches and _targets, in every network namespace. */
#ifndef BF_PROC_H
#define BF_PROC_H

int bf_proc_init(void);
void bf_proc_exit(void);

#endif /* BF_PROC_H */
