/* SPDX-License-Identifier: GPL-2.0 */
/* The socket options of uapi/stap.h. */
#ifndef KMOD_STAP_SOCKOPT_H
#define KMOD_STAP_SOCKOPT_H

#include <linux/sockptr.h>

#include <stap.h>

struct sock;
struct stap;

/* SOL_STAP of a tapped socket. */
int stap_set_option(struct sock *sk, int name, sockptr_t value, unsigned int size);
int stap_get_option(struct sock *sk, int name, char __user *value, int __user *size);

/* Under RCU or with the socket locked. */
struct stap_info stap_info_of(const struct stap *tap);

/* STAP_SO_ULP of any. */
int stap_sockopt_init(void);
void stap_sockopt_exit(void);

#endif /* KMOD_STAP_SOCKOPT_H */
