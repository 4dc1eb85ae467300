/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_STAP_POLICY_H
#define KMOD_STAP_POLICY_H

#include <linux/sockptr.h>

struct sock;
struct stap_programs;

/*
 * Fills in the programs for a struct stap_policy, `size` bytes with its rules, from `offset` of
 * `value` on, and charges who owns the socket's network namespace. The helper makes them: this
 * sleeps.
 */
int stap_policy_programs(struct sock *sk, sockptr_t value, size_t offset, size_t size,
			 struct stap_programs *programs);

#endif /* KMOD_STAP_POLICY_H */
