// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/limits.h>

#include "program.h"
#include "stap.h"

struct bpf_prog *stap_program_get(int fd)
{
	struct bpf_prog *program;

	if (fd == -1)
		return NULL;
	program = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_SOCKET_FILTER, false);
	if (PTR_ERR_OR_ZERO(program) == -EINVAL)
		program = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_SK_SKB, false);
	return program;
}

struct bpf_prog *stap_program_ref(struct bpf_prog *program)
{
	if (program)
		bpf_prog_inc(program);
	return program;
}

void stap_program_put(struct bpf_prog *program)
{
	if (program)
		bpf_prog_put(program);
}

int stap_program_run(const struct bpf_prog *program, struct sk_buff *view)
{
	int answer;

	rcu_read_lock();
	answer = bpf_prog_run_save_cb(program, view);
	rcu_read_unlock();
	return answer;
}

int stap_checked_length(int answer)
{
	if (answer < 0)
		return answer >= -MAX_ERRNO ? answer : -EPROTO;
	return answer > stap_max_message ? -EMSGSIZE : answer;
}

int stap_counted_verdict(struct stap_direction *direction, int verdict, u32 size)
{
	switch (verdict) {
	case STAP_OK:
		direction->messages++;
		direction->bytes += size;
		return STAP_OK;
	case STAP_DROP:
		direction->dropped++;
		return STAP_DROP;
	default:
		return STAP_DISCONNECT;
	}
}
