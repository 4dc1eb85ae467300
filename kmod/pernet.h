/* SPDX-License-Identifier: GPL-2.0 */
/* The beginning and the end of what we keep for each network namespace (base/netns.h). */
#ifndef KMOD_PERNET_H
#define KMOD_PERNET_H

int bpfilter_pernet_init(void);
void bpfilter_pernet_exit(void);

#endif /* KMOD_PERNET_H */
