// SPDX-License-Identifier: GPL-2.0
/*
 * What a tap costs. Two processes, one CPU, loopback: round trips of SIZE bytes, or a stream of
 * writes of SIZE bytes, the same with and without taps. In a machine whose clock counts
 * instructions (scripts/vm --icount) a nanosecond is one.
 *
 *   stap rtt|bulk SIZE COUNT plain|tap|send|recv|sockmap
 *
 * tap: both ends, both directions, parser and verdict; send, recv: one direction; sockmap: the kernel's own stream parser
 * and verdict on what both ends receive (it has none for what is sent). Prints instructions per
 * round trip or write.
 *
 * In a stream each write wakes the reader. Whether he runs at once or later is up to who has run
 * more so far, so a little more work at either end would make the difference of a change of
 * processes for each write. With SCHED_BATCH he runs when the writer's time is up, or the window.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../uapi/stap.h"

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long bpf(int command, union bpf_attr *attributes)
{
	const long result = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

	if (result < 0)
		die("bpf");
	return result;
}

static int constant(int type, int value)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = type,
		.insns = (unsigned long)code,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attributes);
}

static void tap(int fd, int size, const char *kind)
{
	struct {
		struct ulp_config config;
		struct stap_params params;
	} asked = { .config.ulp_name = "stap" };
	const int parse = constant(BPF_PROG_TYPE_SOCKET_FILTER, size);
	const int verdict = constant(BPF_PROG_TYPE_SOCKET_FILTER, STAP_OK);

	asked.params = (struct stap_params) { -1, -1, -1, -1 };
	if (strcmp(kind, "recv")) {
		asked.params.bpf_send_parse_fd = parse;
		asked.params.bpf_send_verdict_fd = verdict;
	}
	if (strcmp(kind, "send")) {
		asked.params.bpf_recv_parse_fd = parse;
		asked.params.bpf_recv_verdict_fd = verdict;
	}
	if (setsockopt(fd, SOL_IP, STAP_SO_ULP, &asked, sizeof(asked)))
		die("STAP_SO_ULP");
}

static void attach(int map, int program, int type)
{
	union bpf_attr attributes = {
		.target_fd = map,
		.attach_bpf_fd = program,
		.attach_type = type,
	};

	bpf(BPF_PROG_ATTACH, &attributes);
}

static void sockmap(const int fd[2], int size)
{
	union bpf_attr create = {
		.map_type = BPF_MAP_TYPE_SOCKMAP,
		.key_size = 4,
		.value_size = 4,
		.max_entries = 2,
	};
	const int map = bpf(BPF_MAP_CREATE, &create);
	int i;

	attach(map, constant(BPF_PROG_TYPE_SK_SKB, size), BPF_SK_SKB_STREAM_PARSER);
	attach(map, constant(BPF_PROG_TYPE_SK_SKB, 1), BPF_SK_SKB_STREAM_VERDICT);
	for (i = 0; i < 2; i++) {
		union bpf_attr update = {
			.map_fd = map,
			.key = (unsigned long)&i,
			.value = (unsigned long)&fd[i],
		};

		bpf(BPF_MAP_UPDATE_ELEM, &update);
	}
}

static void connect_both(int fd[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	const int one = 1;
	int i;

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &size) ||
	    connect(fd[0], (struct sockaddr *)&address, size))
		die("connect");
	fd[1] = accept(listener, NULL, NULL);
	for (i = 0; i < 2; i++)
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(listener);
}

static void all(ssize_t (*call)(int, void *, size_t, int), int fd, char *buffer, size_t size)
{
	while (size) {
		const ssize_t some = call(fd, buffer, size, 0);

		if (some <= 0)
			die("send or recv");
		size -= some;
	}
}

static ssize_t put(int fd, void *buffer, size_t size, int flags)
{
	return send(fd, buffer, size, flags);
}

static void answer(int fd, char *buffer, size_t size, long count, int echo)
{
	while (count--) {
		all(recv, fd, buffer, size);
		if (echo)
			all(put, fd, buffer, size);
	}
	if (!echo)
		all(put, fd, buffer, size);
}

static void ask(int fd, char *buffer, size_t size, long count, int echo)
{
	while (count--) {
		all(put, fd, buffer, size);
		if (echo)
			all(recv, fd, buffer, size);
	}
	if (!echo) /* until the last byte has been read */
		all(recv, fd, buffer, size);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
	const int echo = argc > 1 && !strcmp(argv[1], "rtt");
	const size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	const long count = argc > 3 ? atol(argv[3]) : 0;
	const char *kind = argc > 4 ? argv[4] : "";
	char *buffer = calloc(1, size + 1);
	double start;
	pid_t child;
	int fd[2];

	if (!size || count < 10 || !buffer) {
		fputs("stap rtt|bulk SIZE COUNT plain|tap|send|recv|sockmap\n", stderr);
		return 2;
	}
	connect_both(fd);
	if (!echo && sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }))
		die("SCHED_BATCH");
	if (!strcmp(kind, "sockmap")) {
		sockmap(fd, size);
	} else if (strcmp(kind, "plain")) {
		tap(fd[0], size, kind);
		tap(fd[1], size, kind);
	}
	child = fork();
	if (!child) {
		answer(fd[1], buffer, size, count / 10, echo); /* to get warm */
		answer(fd[1], buffer, size, count, echo);
		_exit(0);
	}
	ask(fd[0], buffer, size, count / 10, echo);
	start = now();
	ask(fd[0], buffer, size, count, echo);
	printf("%s %zu %s %.0f\n", argv[1], size, kind, (now() - start) / count);
	waitpid(child, NULL, 0);
	return 0;
}
