// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "caller/call.h"
#include "stap/ask.h"
#include "stap/charge.h"
#include "stap/policy.h"
#include "stap/program.h"
#include "stap/programs.h"
#include "stap/stap.h"

#define SIZE_MAX_OF_POLICY \
	(sizeof(struct stap_policy) + 2 * STAP_RULES_MAX * sizeof(struct stap_rule))

static void *take(s32 fd)
{
	return stap_program_get(fd);
}

static void drop(void *program)
{
	stap_program_put(program);
}

static const struct bpfilter_gift_kind program_kind = {
	.owner = THIS_MODULE,
	.take = take,
	.drop = drop,
};

static int charge(struct stap_programs *programs, struct user_namespace *ns)
{
	int i;

	for (i = 0; i < STAP_PROGRAM_COUNT; i++) {
		struct stap_charge *charge = stap_charge_take(ns, programs->program[i]);

		if (IS_ERR(charge))
			return PTR_ERR(charge);
		programs->charge[i] = charge;
	}
	return 0;
}

int stap_policy_programs(struct sock *sk, sockptr_t value, size_t offset, size_t size,
			 struct stap_programs *programs)
{
	void *gift[STAP_PROGRAM_COUNT];
	struct bpfilter_call call = {
		.opcode = BPFILTER_OP_TAP,
		.net = sock_net(sk),
		.length = size,
		.kind = &program_kind,
		.count = STAP_PROGRAM_COUNT,
	};
	void *body;
	int error;

	if (!ns_capable(sock_net(sk)->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (size < sizeof(struct stap_policy) || size > SIZE_MAX_OF_POLICY)
		return -EINVAL;
	body = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!body)
		return -ENOMEM;
	error = -EFAULT;
	if (!copy_from_sockptr_offset(body, value, offset, size)) {
		call.body = body;
		error = stap_ask(&call, gift);
	}
	kvfree(body);
	if (error)
		return error;
	memcpy(programs->program, gift, sizeof(gift));
	return charge(programs, sock_net(sk)->user_ns);
}
