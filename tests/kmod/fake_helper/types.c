// SPDX-License-Identifier: GPL-2.0
/* Programs and maps with types (BTF), which programs of ours have no need of. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpfilter/context.h>

#include "fake_helper.h"

/* By their numbers, from 1 on. */
enum { INT = 1, PROTOTYPE, DECIDE, MAIN, BYTES_64 };

static const char strings[] = "\0int\0decide\0main";
enum { NAME_INT = 1, NAME_DECIDE = 5, NAME_MAIN = 12 };

#define INFO(kind, vlen) ((kind) << 24 | (vlen))

/* int decide(void); int main(void); int bytes_64[16]; */
static const unsigned int types[] = {
	NAME_INT,    INFO(BTF_KIND_INT, 0),		    4,	       BTF_INT_SIGNED << 24 | 32,
	0,	     INFO(BTF_KIND_FUNC_PROTO, 0),	    INT,
	NAME_DECIDE, INFO(BTF_KIND_FUNC, BTF_FUNC_GLOBAL), PROTOTYPE,
	NAME_MAIN,   INFO(BTF_KIND_FUNC, BTF_FUNC_GLOBAL), PROTOTYPE,
	0,	     INFO(BTF_KIND_ARRAY, 0),		    0,	       INT, INT, 16,
};

static int bpf(int command, union bpf_attr *attr)
{
	int result = syscall(SYS_bpf, command, attr, sizeof(*attr));

	if (result < 0 && command != BPF_RAW_TRACEPOINT_OPEN)
		give_up("cannot have types");
	return result;
}

static int load_types(void)
{
	struct {
		struct btf_header header;
		char types[sizeof(types)];
		char strings[sizeof(strings)];
	} btf = {
		.header = {
			.magic = BTF_MAGIC,
			.version = BTF_VERSION,
			.hdr_len = sizeof(btf.header),
			.type_len = sizeof(types),
			.str_off = sizeof(types),
			.str_len = sizeof(strings),
		},
	};
	union bpf_attr attr = {
		.btf = (unsigned long)&btf,
		.btf_size = offsetof(typeof(btf), strings) + sizeof(strings),
	};

	__builtin_memcpy(btf.types, types, sizeof(types));
	__builtin_memcpy(btf.strings, strings, sizeof(strings));
	return bpf(BPF_BTF_LOAD, &attr);
}

int create_typed_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_PERCPU_ARRAY,
		.key_size = 4,
		.value_size = 64,
		.max_entries = 1,
		.btf_fd = load_types(),
		.btf_key_type_id = INT,
		.btf_value_type_id = BYTES_64,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

/* return decide(); where int decide(void) { return BPFILTER_ACCEPT; } */
int load_extensible(void)
{
	const struct bpf_insn code[] = {
		{ BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	const struct bpf_func_info functions[] = { { 0, MAIN }, { 2, DECIDE } };
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
		.prog_btf_fd = load_types(),
		.func_info = (unsigned long)functions,
		.func_info_cnt = 2,
		.func_info_rec_size = sizeof(functions[0]),
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

/* int decide(void) { return BPFILTER_DROP; } in its place. */
void extend(int program)
{
	const struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_DROP },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	const struct bpf_func_info function = { 0, DECIDE };
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_EXT,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
		.prog_btf_fd = load_types(),
		.func_info = (unsigned long)&function,
		.func_info_cnt = 1,
		.func_info_rec_size = sizeof(function),
		.attach_prog_fd = program,
		.attach_btf_id = DECIDE,
	};
	union bpf_attr attach = { .raw_tracepoint.prog_fd = bpf(BPF_PROG_LOAD, &load) };

	note("EXTEND errno=%d\n", bpf(BPF_RAW_TRACEPOINT_OPEN, &attach) < 0 ? errno : 0);
}
