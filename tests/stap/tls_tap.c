// SPDX-License-Identifier: GPL-2.0
/*
 * Linked with the kernel's selftest net/tls.c, whose setsockopt() and accept() end here: where it
 * asks for TLS, both ends of its connection are tapped instead, and it is told that there is no
 * TLS. Then it runs in its own mode without, which knows what TCP does.
 *
 * The environment's STAP_PARSER says how its bytes are cut into messages: "none" (what there is),
 * "fixed" (100 bytes), "prefix" (one more than the first byte says); the last of a series may be
 * shorter, as the test does not know of messages. "plain": not tapped at all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../uapi/stap.h"

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __real_accept(int fd, struct sockaddr *address, socklen_t *size);
int __wrap_accept(int fd, struct sockaddr *address, socklen_t *size);

#define INSN(op, dst, src, offset, value)                                                         \
	{                                                                                         \
		.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value) \
	}
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* r1: the length of what there is, never more than which a parser returns. */
#define LENGTH INSN(BPF_LDX | BPF_W | BPF_MEM, 1, 6, offsetof(struct __sk_buff, len), 0)
#define CONTEXT INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0)
#define NO_MORE_THAN_LENGTH                                                                       \
	INSN(BPF_JMP | BPF_JLE | BPF_X, 0, 1, 1, 0), INSN(BPF_ALU64 | BPF_MOV | BPF_X, 0, 1, 0, 0)

static const struct bpf_insn pass[] = { INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, STAP_OK), EXIT };

static const struct bpf_insn fixed[] = {
	CONTEXT, INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 100), LENGTH, NO_MORE_THAN_LENGTH, EXIT,
};

static const struct bpf_insn prefix[] = {
	CONTEXT,
	INSN(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0, 0), /* the first byte to r0 */
	INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1),
	LENGTH,
	NO_MORE_THAN_LENGTH,
	EXIT,
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int load(const struct bpf_insn *code, unsigned int count)
{
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (unsigned long)code,
		.insn_cnt = count,
		.license = (unsigned long)"GPL",
	};
	const int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));

	if (fd < 0)
		die("BPF_PROG_LOAD");
	return fd;
}

#define LOAD(code) load(code, sizeof(code) / sizeof((code)[0]))

static int parser(void)
{
	const char *name = getenv("STAP_PARSER");

	if (name && !strcmp(name, "fixed"))
		return LOAD(fixed);
	if (name && !strcmp(name, "prefix"))
		return LOAD(prefix);
	if (name && !strcmp(name, "none"))
		return -1;
	errno = EINVAL;
	die("STAP_PARSER");
	return -1;
}

static void tap(int fd)
{
	struct {
		struct ulp_config config;
		struct stap_params params;
	} asked = { .config.ulp_name = "stap" };
	const int parse = parser(), verdict = LOAD(pass);

	asked.params = (struct stap_params) { parse, verdict, parse, verdict };
	if (__real_setsockopt(fd, SOL_IP, STAP_SO_ULP, &asked, sizeof(asked)))
		die("STAP_SO_ULP");
	if (parse >= 0)
		close(parse);
	close(verdict);
}

static int accepted = -1;

int __wrap_accept(int fd, struct sockaddr *address, socklen_t *size)
{
	accepted = __real_accept(fd, address, size);
	return accepted;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	const char *parser = getenv("STAP_PARSER");

	if (level != IPPROTO_TCP || name != TCP_ULP)
		return __real_setsockopt(fd, level, name, value, size);
	if (!parser || strcmp(parser, "plain")) {
		tap(fd);
		tap(accepted);
	}
	errno = ENOENT;
	return -1;
}
