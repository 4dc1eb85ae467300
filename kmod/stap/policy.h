/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_STAP_POLICY_H
#define KMOD_STAP_POLICY_H

#include <linux/sockptr.h>

struct bpf_prog;
struct sock;

/*
 * The programs for a struct stap_policy, `size` bytes with its rules, from `offset` of `value`
 * on; in the order of struct stap_params, NULL for none. The helper makes them: this sleeps.
 */
int stap_policy_programs(struct sock *sk, sockptr_t value, size_t offset, size_t size,
			 struct bpf_prog **program);

#endif /* KMOD_STAP_POLICY_H */
