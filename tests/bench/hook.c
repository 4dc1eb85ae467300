// SPDX-License-Identifier: GPL-2.0
/*
 * What the hooks INPUT and OUTPUT cost: a datagram to ourselves, sent and received, passes both.
 * In a machine whose clock counts instructions (scripts/vm --icount) a nanosecond is one.
 *
 *   hook COUNT NAME
 *
 * Prints "hook NAME" and instructions per datagram, the median of some runs of COUNT.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define RUNS 5

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static long run(int receiver, int sender, int count)
{
	const long start = now();
	char byte = 'x';
	int i;

	for (i = 0; i < count; i++)
		if (send(sender, &byte, 1, 0) != 1 || recv(receiver, &byte, 1, 0) != 1)
			die("a datagram");
	return (now() - start) / count;
}

static int compare(const void *one, const void *other)
{
	const long difference = *(const long *)one - *(const long *)other;

	return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	const int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t length = sizeof(address);
	long took[RUNS];
	int i;

	if (argc != 3)
		return 2;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(receiver, (struct sockaddr *)&address, length) ||
	    getsockname(receiver, (struct sockaddr *)&address, &length) ||
	    connect(sender, (struct sockaddr *)&address, length))
		die("sockets");
	run(receiver, sender, 1000);
	for (i = 0; i < RUNS; i++)
		took[i] = run(receiver, sender, atoi(argv[1]));
	qsort(took, RUNS, sizeof(took[0]), compare);
	printf("hook %s %ld\n", argv[2], took[RUNS / 2]);
	return 0;
}
