// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/net.h>
#include <linux/socket.h>
#include <linux/string.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>

#include "stap/option.h"
#include "stap/stap.h"

/* What is read of the kernel's memory is read as pointers of 8 bytes. */
static_assert(sizeof(void *) == sizeof(u64), "stap is for 64-bit kernels");

/* The number that SO_ULP had in the RFC. */
#define RFC_SO_ULP 60

/* The answer of getsockopt(), and what else lies in the program's stack, from its top down. */
#define NAME ((int)sizeof(struct ulp_config))
#define ANSWER (NAME + (int)sizeof(struct stap_info))
#define AT_SOCKET 8
#define AT_WORD 16
#define AT_ANSWER (AT_WORD + ANSWER)

/* Of a jump to the end, where the kernel is left to do what it would have done. */
#define TO_END S16_MAX

static void put(struct stap_option_code *code, struct bpf_insn insn)
{
	if (!WARN_ON_ONCE(code->count == STAP_OPTION_MOST))
		code->insn[code->count++] = insn;
}

/* A jump that is to land further on: land() says where. */
static u32 jump(struct stap_option_code *code, struct bpf_insn insn)
{
	put(code, insn);
	return code->count - 1;
}

static void land(struct stap_option_code *code, u32 from)
{
	code->insn[from].off = code->count - from - 1;
}

static void end(struct stap_option_code *code)
{
	u32 i;

	for (i = 0; i < code->count; i++)
		if (code->insn[i].off == TO_END)
			land(code, i);
	put(code, BPF_MOV64_IMM(BPF_REG_0, 1));
	put(code, BPF_EXIT_INSN());
}

/* Fields of the context, of which all but the pointers are 32 bits. */
#define LOAD(code, to, context, field)                                                            \
	put(code, BPF_LDX_MEM(BPF_W, to, context, offsetof(struct bpf_sockopt, field)))
#define STORE(code, context, field, from)                                                         \
	put(code, BPF_STX_MEM(BPF_W, context, from, offsetof(struct bpf_sockopt, field)))
#define LOAD_POINTER(code, to, context, field)                                                    \
	put(code, BPF_LDX_MEM(BPF_DW, to, context, offsetof(struct bpf_sockopt, field)))

/* r2 = the option, if it is one of SOL_SOCKET. */
static void load_option(struct stap_option_code *code, int context)
{
	LOAD(code, BPF_REG_2, context, level);
	put(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_2, SOL_SOCKET, TO_END));
	LOAD(code, BPF_REG_2, context, optname);
}

/* r3 = the socket, if it is one of TCP. Clobbers r2. */
static void load_tcp_socket(struct stap_option_code *code, int context)
{
	LOAD_POINTER(code, BPF_REG_3, context, sk);
	put(code, BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_3, offsetof(struct bpf_sock, type)));
	put(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_2, SOCK_STREAM, TO_END));
	put(code, BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_3, offsetof(struct bpf_sock, protocol)));
	put(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_2, IPPROTO_TCP, TO_END));
}

/* 60 is SO_ZEROCOPY's, whose value is an int, 0 or 1; a name begins with neither. */
static void check_rfc(struct stap_option_code *code)
{
	LOAD(code, BPF_REG_3, BPF_REG_1, optlen);
	put(code, BPF_JMP32_IMM(BPF_JSLT, BPF_REG_3, NAME, TO_END));
	LOAD_POINTER(code, BPF_REG_3, BPF_REG_1, optval);
	LOAD_POINTER(code, BPF_REG_4, BPF_REG_1, optval_end);
	put(code, BPF_MOV64_REG(BPF_REG_5, BPF_REG_3));
	put(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_5, sizeof(int)));
	put(code, BPF_JMP_REG(BPF_JGT, BPF_REG_5, BPF_REG_4, TO_END));
	put(code, BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_3, 0));
	put(code, BPF_JMP_IMM(BPF_JLE, BPF_REG_3, 1, TO_END));
}

/*
 * Nearly all options leave it after two instructions. It calls nothing, so the context stays where
 * it came, and no register has to be saved.
 */
void stap_option_set(struct stap_option_code *code)
{
	u32 ours;

	load_option(code, BPF_REG_1);
	ours = jump(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_2, SO_ULP, 0));
	put(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_2, RFC_SO_ULP, TO_END));
	check_rfc(code);
	land(code, ours);
	load_tcp_socket(code, BPF_REG_1);
	put(code, BPF_MOV64_IMM(BPF_REG_2, SOL_IP));
	STORE(code, BPF_REG_1, level, BPF_REG_2);
	put(code, BPF_MOV64_IMM(BPF_REG_2, STAP_SO_ULP));
	STORE(code, BPF_REG_1, optname, BPF_REG_2);
	/* The value is the caller's own, not what the program was shown of it. */
	put(code, BPF_MOV64_IMM(BPF_REG_2, 0));
	STORE(code, BPF_REG_1, optlen, BPF_REG_2);
	end(code);
}

/* Puts so many bytes of the kernel's memory at r10 - place: those at base + offset. */
static void read(struct stap_option_code *code, int base, u32 offset, int place, u32 size)
{
	put(code, BPF_MOV64_REG(BPF_REG_3, base));
	put(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_3, offset));
	put(code, BPF_MOV64_REG(BPF_REG_1, BPF_REG_10));
	put(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_1, -place));
	put(code, BPF_MOV64_IMM(BPF_REG_2, size));
	put(code, BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel));
	put(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_0, 0, TO_END));
}

/* to = the pointer at base + offset. */
static void read_pointer(struct stap_option_code *code, int to, int base, u32 offset)
{
	read(code, base, offset, AT_WORD, sizeof(void *));
	put(code, BPF_LDX_MEM(BPF_DW, to, BPF_REG_10, -AT_WORD));
}

/* The id of the program at r8 + offset, if there is one. */
static void read_id(struct stap_option_code *code, u32 offset, int place)
{
	u32 none;

	read_pointer(code, BPF_REG_9, BPF_REG_8, offset);
	none = jump(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_9, 0, 0));
	read_pointer(code, BPF_REG_9, BPF_REG_9, offsetof(struct bpf_prog, aux));
	read(code, BPF_REG_9, offsetof(struct bpf_prog_aux, id), place, sizeof(u32));
	land(code, none);
}

static_assert(offsetof(struct stap_direction, bytes) ==
	      offsetof(struct stap_direction, messages) + sizeof(u64));
static_assert(offsetof(struct stap_direction, dropped) ==
	      offsetof(struct stap_direction, messages) + 2 * sizeof(u64));

/* r8 = the tap; the direction's part of the answer is at r10 - place. */
static void read_direction(struct stap_option_code *code, u32 direction, int place)
{
	read_id(code, direction + offsetof(struct stap_direction, parse),
		place - offsetof(struct stap_direction_info, parse_id));
	read_id(code, direction + offsetof(struct stap_direction, verdict),
		place - offsetof(struct stap_direction_info, verdict_id));
	read(code, BPF_REG_8, direction + offsetof(struct stap_direction, messages),
	     place - offsetof(struct stap_direction_info, messages), 3 * sizeof(u64));
}

static void load_number(struct stap_option_code *code, int to, u64 number)
{
	const struct bpf_insn both[] = { BPF_LD_IMM64(to, number) };

	put(code, both[0]);
	put(code, both[1]);
}

/* r7 = the socket's address as a number, which a pointer of the verifier's is not. */
static void load_address(struct stap_option_code *code)
{
	put(code, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_3, -AT_SOCKET));
	read_pointer(code, BPF_REG_7, BPF_REG_10, -AT_SOCKET);
}

/* The name, and what is attached if it is ours; r7 = the length of that. */
static void answer(struct stap_option_code *code)
{
	const int info = AT_ANSWER - NAME;
	u32 none, other, gone, done;
	u64 stap = 0;
	int i;

	memcpy(&stap, "stap", 4);
	for (i = 0; i < ANSWER; i += 8)
		put(code, BPF_ST_MEM(BPF_DW, BPF_REG_10, i - AT_ANSWER, 0));
	load_address(code);
	read_pointer(code, BPF_REG_8, BPF_REG_7,
		     offsetof(struct inet_connection_sock, icsk_ulp_ops));
	none = jump(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_8, 0, 0));
	read(code, BPF_REG_8, offsetof(struct tcp_ulp_ops, name), AT_ANSWER, NAME);
	put(code, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -AT_ANSWER));
	load_number(code, BPF_REG_2, stap);
	other = jump(code, BPF_JMP_REG(BPF_JNE, BPF_REG_1, BPF_REG_2, 0));
	read_pointer(code, BPF_REG_8, BPF_REG_7,
		     offsetof(struct inet_connection_sock, icsk_ulp_data));
	gone = jump(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_8, 0, 0));
	read_direction(code, offsetof(struct stap, send),
		       info - offsetof(struct stap_info, send));
	read_direction(code, offsetof(struct stap, recv),
		       info - offsetof(struct stap_info, recv));
	put(code, BPF_MOV64_IMM(BPF_REG_7, ANSWER));
	done = jump(code, BPF_JMP_A(0));
	land(code, none);
	land(code, other);
	land(code, gone);
	put(code, BPF_MOV64_IMM(BPF_REG_7, NAME));
	land(code, done);
}

/* As much of it as there is room for, in words; r8 = how much that is. */
static void copy_answer(struct stap_option_code *code)
{
	u32 small[ANSWER / 8], full[ANSWER / 8], fits;
	int i;

	LOAD(code, BPF_REG_1, BPF_REG_6, optlen);
	fits = jump(code, BPF_JMP_REG(BPF_JGE, BPF_REG_1, BPF_REG_7, 0));
	put(code, BPF_MOV64_REG(BPF_REG_7, BPF_REG_1));
	land(code, fits);
	LOAD_POINTER(code, BPF_REG_2, BPF_REG_6, optval);
	LOAD_POINTER(code, BPF_REG_3, BPF_REG_6, optval_end);
	put(code, BPF_MOV64_IMM(BPF_REG_8, 0));
	for (i = 0; i < ANSWER / 8; i++) {
		small[i] = jump(code, BPF_JMP_IMM(BPF_JLT, BPF_REG_7, 8 * (i + 1), 0));
		put(code, BPF_MOV64_REG(BPF_REG_4, BPF_REG_2));
		put(code, BPF_ALU64_IMM(BPF_ADD, BPF_REG_4, 8 * (i + 1)));
		full[i] = jump(code, BPF_JMP_REG(BPF_JGT, BPF_REG_4, BPF_REG_3, 0));
		put(code, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, 8 * i - AT_ANSWER));
		put(code, BPF_STX_MEM(BPF_DW, BPF_REG_2, BPF_REG_1, 8 * i));
		put(code, BPF_MOV64_IMM(BPF_REG_8, 8 * (i + 1)));
	}
	for (i = 0; i < ANSWER / 8; i++) {
		land(code, small[i]);
		land(code, full[i]);
	}
}

void stap_option_get(struct stap_option_code *code)
{
	load_option(code, BPF_REG_1);
	put(code, BPF_JMP_IMM(BPF_JNE, BPF_REG_2, SO_ULP, TO_END));
	LOAD(code, BPF_REG_2, BPF_REG_1, retval);
	put(code, BPF_JMP32_IMM(BPF_JNE, BPF_REG_2, -ENOPROTOOPT, TO_END));
	put(code, BPF_MOV64_REG(BPF_REG_6, BPF_REG_1));
	load_tcp_socket(code, BPF_REG_6);
	answer(code);
	copy_answer(code);
	/* Where nothing fits, the kernel would not even tell the caller how much that is. */
	put(code, BPF_JMP_IMM(BPF_JEQ, BPF_REG_8, 0, TO_END));
	STORE(code, BPF_REG_6, optlen, BPF_REG_8);
	put(code, BPF_MOV64_IMM(BPF_REG_2, 0));
	STORE(code, BPF_REG_6, retval, BPF_REG_2);
	end(code);
}
