// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "stap/charge.h"
#include "stap/program.h"
#include "stap/programs.h"

struct stap_programs *stap_programs_new(void)
{
	struct stap_programs *programs = kzalloc(sizeof(*programs), GFP_KERNEL_ACCOUNT);

	if (programs)
		refcount_set(&programs->references, 1);
	return programs;
}

struct stap_programs *stap_programs_get(struct stap_programs *programs)
{
	return programs && refcount_inc_not_zero(&programs->references) ? programs : NULL;
}

static void free_programs(struct rcu_head *rcu)
{
	struct stap_programs *programs = container_of(rcu, struct stap_programs, rcu);
	int i;

	for (i = 0; i < STAP_PROGRAM_COUNT; i++) {
		stap_charge_drop(programs->charge[i]);
		stap_program_put(programs->program[i]);
	}
	kfree(programs);
}

void stap_programs_put(struct stap_programs *programs)
{
	if (programs && refcount_dec_and_test(&programs->references))
		call_rcu(&programs->rcu, free_programs);
}

void stap_programs_install(struct stap *tap, struct stap_programs *programs)
{
	stap_program_install(&tap->send, programs->program[0], programs->program[1]);
	stap_program_install(&tap->recv, programs->program[2], programs->program[3]);
	/* Urgent data are in the stream, where they are judged. */
	if (stap_is_tapped(&tap->recv))
		sock_set_flag(tap->sk, SOCK_URGINLINE);
	rcu_assign_pointer(tap->programs, programs);
}
