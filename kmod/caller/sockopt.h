/* SPDX-License-Identifier: GPL-2.0 */
/* The socket options of iptables: ABI checks, then requests. */
#ifndef KMOD_CALLER_SOCKOPT_H
#define KMOD_CALLER_SOCKOPT_H

int bpfilter_sockopt_init(void);
/* From now on they are answered: nothing can fail any more. */
void bpfilter_sockopt_open(void);
void bpfilter_sockopt_exit(void);

#endif /* KMOD_CALLER_SOCKOPT_H */
