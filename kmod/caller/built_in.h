/* SPDX-License-Identifier: GPL-2.0 */
/* What ip_tables registers with x_tables besides its tables, and we in its place. */
#ifndef KMOD_CALLER_BUILT_IN_H
#define KMOD_CALLER_BUILT_IN_H

int bpfilter_built_in_init(void);
void bpfilter_built_in_exit(void);

#endif /* KMOD_CALLER_BUILT_IN_H */
