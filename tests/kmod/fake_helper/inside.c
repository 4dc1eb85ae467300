// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fake_helper.h"

static struct absent absent;

static void start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	if (pthread_create(thread, NULL, function, argument))
		give_up("no thread");
}

static void *reply_entries(void *request)
{
	if (!reply_with(request, 0, "", absent.page, ENTRIES_SIZE))
		answer_well(request, (const struct bpfilter_request_header *)request + 1);
	return NULL;
}

static void try_all(const struct bpfilter_request_header *request)
{
	struct bpfilter_reply_header reply = { .length = sizeof(reply), .id = request->id };
	struct bpfilter_commit commit = { .id = request->id, .table = "filter", .context_fd = -1 };
	struct bpfilter_kept kept = { .id = request->id };
	struct bpfilter_give give = { .id = request->id };
	struct bpfilter_look look = { .id = request->id };
	struct bpfilter_attach attach = { .id = request->id, .link_fd = -1, .prog_fd = -1 };
	struct bpfilter_detach detach = { .id = request->id };
	__u64 id = request->id;

	note("BESIDE errno=%d\n", write(PIPE, &reply, sizeof(reply)) < 0 ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_COMMIT, &commit) ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_KEPT, &kept) ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_GIVE, &give) ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_NETNS, &id) < 0 ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_EARLY_HOOKS, &id) < 0 ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_LOOK, &look) ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_ATTACH, &attach) ? errno : 0);
	note("BESIDE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_DETACH, &detach) ? errno : 0);
}

/* A listing of zeros, or, for want of them, a good one. Another thread tries the same id while this is under way. */
void reply_from_absent(const struct bpfilter_request_header *request)
{
	pthread_t thread;

	absent = absent_new();
	start(&thread, reply_entries, (void *)request);
	absent_wait(&absent);
	try_all(request);
	absent_settle(&absent);
	pthread_join(thread, NULL);
}

void outlive(const struct bpfilter_request_header *request)
{
	pthread_t thread;

	if (fork())
		for (;;)
			pause();
	/* No helper, to whoever looks for one. */
	prctl(PR_SET_NAME, "outliving");
	absent = absent_new();
	start(&thread, reply_entries, (void *)request);
	absent_wait(&absent);
	absent_settle(&absent);
	pthread_join(thread, NULL);
	note("OVER\n");
	_exit(0);
}

static void *settle(void *argument)
{
	absent_wait(&absent);
	absent_settle(&absent);
	return argument;
}

/* The header can be had, and nothing behind it. */
void read_into_absent(void)
{
	struct bpfilter_request_header *header;
	pthread_t thread;
	ssize_t size;

	absent = absent_new();
	header = (struct bpfilter_request_header *)absent.page - 1;
	start(&thread, settle, NULL);
	size = read(PIPE, header, 4096);
	note("READ errno=%d\n", size < 0 ? errno : 0);
	pthread_join(thread, NULL);
	if (size > 0) {
		note("READ id=%llu\n", (unsigned long long)header->id);
		reply_with(header, EAGAIN, "", NULL, 0);
	}
}
