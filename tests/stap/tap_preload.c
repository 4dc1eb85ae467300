// SPDX-License-Identifier: GPL-2.0
/*
 * Loaded before an application's own libraries (LD_PRELOAD): every TCP socket that it connects or
 * that it listens on is tapped in both directions, and it does not know. All messages pass; what
 * there is is cut into messages of up to 1000 bytes. For each tap a byte is added to the file that
 * TAP_COUNT names. It must be root.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../uapi/stap.h"

#define INSN(op, dst, src, offset, value)                                                         \
	{                                                                                         \
		.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value) \
	}

static const struct bpf_insn cut[] = {
	INSN(BPF_LDX | BPF_W | BPF_MEM, 0, 1, offsetof(struct __sk_buff, len), 0),
	INSN(BPF_JMP | BPF_JLE | BPF_K, 0, 0, 1, 1000),
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1000),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static const struct bpf_insn pass[] = {
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, STAP_OK),
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static int load(const struct bpf_insn *insns, unsigned int count)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attributes.insns = (unsigned long)insns;
	attributes.insn_cnt = count;
	attributes.license = (unsigned long)"GPL";
	return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static int is_tcp(int fd)
{
	int protocol = 0;
	socklen_t size = sizeof(protocol);

	return !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) &&
	       protocol == IPPROTO_TCP;
}

static void count(void)
{
	const char *path = getenv("TAP_COUNT");
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd >= 0 && write(fd, "x", 1) != 1)
		perror("TAP_COUNT");
	if (fd >= 0)
		close(fd);
}

/* The application's errno is none of ours. A socket is tapped once: again is EEXIST. */
static void tap(int fd)
{
	const int saved = errno;
	struct {
		struct ulp_config config;
		struct stap_params params;
	} asked = { .config = { "stap" } };
	int parse, verdict;

	if (is_tcp(fd)) {
		parse = load(cut, sizeof(cut) / sizeof(cut[0]));
		verdict = load(pass, sizeof(pass) / sizeof(pass[0]));
		asked.params = (struct stap_params){ parse, verdict, parse, verdict };
		if (!setsockopt(fd, SOL_IP, STAP_SO_ULP, &asked, sizeof(asked)))
			count();
		close(parse);
		close(verdict);
	}
	errno = saved;
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");

	tap(fd);
	return real(fd, address, size);
}

int listen(int fd, int backlog)
{
	int (*real)(int, int) = dlsym(RTLD_NEXT, "listen");

	tap(fd);
	return real(fd, backlog);
}
