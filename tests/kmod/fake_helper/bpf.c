// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpfilter/context.h>

#include "fake_helper.h"

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

int load_program(enum bpf_prog_type type, int result)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = result },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (unsigned long)code,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int load_direct_access(void)
{
	struct bpf_insn code[] = {
		{ BPF_LDX | BPF_W | BPF_MEM, 2, 1, offsetof(struct __sk_buff, data), 0 },
		{ BPF_LDX | BPF_W | BPF_MEM, 3, 1, offsetof(struct __sk_buff, data_end), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 4 },
		{ BPF_JMP | BPF_JGT | BPF_X, 4, 3, 1, 0 },
		{ BPF_LDX | BPF_W | BPF_MEM, 0, 2, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int load_marking(int mark)
{
	struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, mark },
		{ BPF_STX | BPF_W | BPF_MEM, 1, 2, offsetof(struct __sk_buff, mark), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int load_code(const struct bpf_insn *code, unsigned int count)
{
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = count,
		.license = (unsigned long)"GPL",
	};
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0)
		give_up("cannot load a program");
	return fd;
}

#define LOAD(code) load_code(code, sizeof(code) / sizeof((code)[0]))

/* r0 = helper(ctx, 0, 0, 0, 0); accept. */
int load_calling(int helper)
{
	const struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 5, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, helper },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return LOAD(code);
}

/* It ends in a NULL pointer where the packet has a route that is no tunnel's metadata. */
int load_tunnel_key(void)
{
	const struct bpf_insn code[] = {
		{ BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 8 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_set_tunnel_key },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return LOAD(code);
}

/* What stands in skb->cb for a classifier, and in IP's own there. */
int load_reading(int place)
{
	const struct bpf_insn code[] = {
		{ BPF_LDX | BPF_W | BPF_MEM, 2, 1, place, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return LOAD(code);
}

int load_writing(int place)
{
	const struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0x4141 },
		{ BPF_STX | BPF_W | BPF_MEM, 1, 2, place, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return LOAD(code);
}

/* Another program in the place of this one, when nobody looks any more. */
int load_tail_call(int programs)
{
	const struct bpf_insn code[] = {
		{ BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, programs },
		{ 0, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return LOAD(code);
}

/* In a subprogram, behind a call of its own. */
int load_calling_below(int helper)
{
	const struct bpf_insn code[] = {
		{ BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 2 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, helper },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};

	return LOAD(code);
}

int create_map(enum bpf_map_type type, unsigned int value_size)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = 4,
		.value_size = value_size,
		.max_entries = 1,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}
