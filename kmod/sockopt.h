/* SPDX-License-Identifier: GPL-2.0 */
/* The socket options of iptables: ABI checks, then requests. */
#ifndef BF_SOCKOPT_H
#define BF_SOCKOPT_H

int bf_sockopt_init(void);
void bf_sockopt_exit(void);

#endif /* BF_SOCKOPT_H */
