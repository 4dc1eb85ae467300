// SPDX-License-Identifier: GPL-2.0
/*
 * What a command costs: its own time of the processor, and that of the helper meanwhile. In a
 * machine whose clock counts instructions (scripts/vm --icount) a nanosecond is one.
 *
 *   run NAME COUNT COMMAND [UNDO]
 *
 * Runs COMMAND, and then UNDO, COUNT times with the shell, of which neither is anybody's time: they
 * are to be `exec ...`. Prints "run NAME", and of one COMMAND, in thousands, the median of what the
 * processor did, and the median of what passed on the clock.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX 1000

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long read_clock(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		return 0; /* who is gone */
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static int is_helper(const char *pid)
{
	char path[300], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(name, sizeof(name), file))
		name[0] = 0;
	fclose(file);
	return !strcmp(name, "bpfilter_umh\n");
}

/* Of all that are there: one. */
static long helper_time(void)
{
	DIR *all = opendir("/proc");
	struct dirent *one;
	clockid_t clock;
	long sum = 0;

	if (!all)
		die("/proc");
	while ((one = readdir(all)))
		if (isdigit((unsigned char)one->d_name[0]) && is_helper(one->d_name) &&
		    !clock_getcpuclockid(atoi(one->d_name), &clock))
			sum += read_clock(clock);
	closedir(all);
	return sum;
}

static long command(const char *text)
{
	struct rusage usage;
	int status, pid = fork();

	if (!pid) {
		execl("/bin/sh", "sh", "-c", text, NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		die("a command");
	if (status) {
		fprintf(stderr, "%s: status %d\n", text, status);
		exit(1);
	}
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000L +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000L;
}

static int compare(const void *one, const void *other)
{
	const long difference = *(const long *)one - *(const long *)other;

	return difference < 0 ? -1 : difference > 0;
}

int main(int argc, char **argv)
{
	const int count = argc > 3 ? atoi(argv[2]) : 0;
	static long took[MAX], passed[MAX];
	int i;

	if (count < 1 || count > MAX)
		return 2;
	for (i = 0; i < count; i++) {
		const long helper = helper_time(), start = read_clock(CLOCK_MONOTONIC);

		took[i] = command(argv[3]);
		passed[i] = read_clock(CLOCK_MONOTONIC) - start;
		took[i] += helper_time() - helper;
		if (argc > 4)
			command(argv[4]);
	}
	qsort(took, count, sizeof(took[0]), compare);
	qsort(passed, count, sizeof(passed[0]), compare);
	printf("run %s %ld %ld\n", argv[1], took[count / 2] / 1000, passed[count / 2] / 1000);
	fflush(stdout);
	return 0;
}
