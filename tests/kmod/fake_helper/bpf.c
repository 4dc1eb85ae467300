// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

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
