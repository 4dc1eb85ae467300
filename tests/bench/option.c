// SPDX-License-Identifier: GPL-2.0
/*
 * option set|get COUNT NAME: nanoseconds of one setsockopt() or getsockopt() of a TCP socket that
 * has nothing to do with a tap: what SO_ULP at SOL_SOCKET costs the others.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ask(int fd, int set)
{
	int value = 1;
	socklen_t size = sizeof(value);

	if (set)
		return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, size);
	return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size);
}

int main(int argc, char **argv)
{
	const int set = argc > 1 && !strcmp(argv[1], "set");
	const long count = argc > 2 ? atol(argv[2]) : 0;
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	double start = 0;
	long i;

	if (argc < 4 || count < 10 || fd < 0) {
		fputs("option set|get COUNT NAME\n", stderr);
		return 2;
	}
	for (i = -count / 10; i < count; i++) {
		if (!i)
			start = now();
		if (ask(fd, set)) {
			perror(argv[1]);
			return 1;
		}
	}
	printf("option %s %s %.0f\n", argv[1], argv[3], (now() - start) / count);
	return 0;
}
