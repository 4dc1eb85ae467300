// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fake_helper.h"

char action[32];
int number;

/* Standard error is the kernel log. */
void give_up(const char *why)
{
	dprintf(STDERR_FILENO, "fake_helper: %s, errno %d\n", why, errno);
	_exit(100);
}

bool told(const char *word)
{
	return !strcmp(action, word);
}

void note(const char *format, ...)
{
	char line[256];
	va_list arguments;
	int fd, length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	fd = open("/run/fake_helper/log", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, length) != length)
		give_up("cannot write the log");
	close(fd);
}

void read_orders(const char *opcode)
{
	FILE *file = fopen("/run/fake_helper/orders", "re");
	char line[128], name[32];

	action[0] = '\0';
	number = 0;
	while (file && fgets(line, sizeof(line), file)) {
		char word[32];
		int value = 0;

		if (sscanf(line, "%31s %31s %d", name, word, &value) >= 2 &&
		    !strcmp(name, opcode)) {
			strcpy(action, word);
			number = value;
		}
	}
	if (file)
		fclose(file);
}

/* In the way by which tests/vm/lib/deaths.py knows that it was ordered. */
void crash(void)
{
	raise(SIGUSR1);
	give_up("alive behind SIGUSR1");
}

/* By another name: no kernel log may have an abort of bpfilter_umh (scripts/vm). */
void abort_as_told(void)
{
	prctl(PR_SET_NAME, "fake_helper");
	abort();
}
