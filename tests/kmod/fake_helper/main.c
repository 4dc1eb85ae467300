// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <bpfilter/context.h>

#include "fake_helper.h"

/* The same in kmod/main.c: the contract does not depend on who builds it. */
_Static_assert(sizeof(struct bpfilter_request_header) == 40, "request");
_Static_assert(sizeof(struct bpfilter_reply_header) == 24, "reply");
_Static_assert(sizeof(struct bpfilter_settings) == 12, "settings");
_Static_assert(sizeof(struct bpfilter_init) == 28, "init");
_Static_assert(sizeof(struct bpfilter_table_name) == 32, "table_name");
_Static_assert(sizeof(struct bpfilter_get_entries) == 40, "get_entries");
_Static_assert(sizeof(struct bpfilter_count) == 8, "count");
_Static_assert(sizeof(struct bpfilter_commit_hook) == 16, "commit_hook");
_Static_assert(sizeof(struct bpfilter_commit) == 168, "commit");
_Static_assert(sizeof(struct bpfilter_commit_records) == 200, "commit_records");
_Static_assert(sizeof(struct bpfilter_check) == 24, "check");
_Static_assert(sizeof(struct bpfilter_kept) == 48, "kept");
_Static_assert(sizeof(struct bpfilter_give) == 32, "give");
_Static_assert(sizeof(struct bpfilter_context) == 64, "context");

static const char *const opcodes[] = {
	[BPFILTER_OP_INIT] = "INIT",
	[BPFILTER_OP_SETTINGS] = "SETTINGS",
	[BPFILTER_OP_GET_INFO] = "GET_INFO",
	[BPFILTER_OP_GET_ENTRIES] = "GET_ENTRIES",
	[BPFILTER_OP_REPLACE] = "REPLACE",
	[BPFILTER_OP_OLD_COUNTERS] = "OLD_COUNTERS",
	[BPFILTER_OP_ADD_COUNTERS] = "ADD_COUNTERS",
	[BPFILTER_OP_REPLAY] = "REPLAY",
	[BPFILTER_OP_NETNS_GONE] = "NETNS_GONE",
	[BPFILTER_OP_DEVICES] = "DEVICES",
	[BPFILTER_OP_TAP] = "TAP",
};

static const char *opcode_of(const struct bpfilter_request_header *request)
{
	const bool known = request->opcode < sizeof(opcodes) / sizeof(opcodes[0]);

	return known && opcodes[request->opcode] ? opcodes[request->opcode] : "?";
}

/* To where it has no memory, again and again, until it is killed. */
static _Noreturn void misread(void)
{
	void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (;;)
		if (read(PIPE, nothing, 4096) == 0)
			pause();
}

static void carry_out(const struct bpfilter_request_header *request, const void *payload)
{
	while (told("wait")) { /* until it is told something else */
		usleep(10000);
		read_orders(opcode_of(request));
	}
	if (told("crash"))
		crash();
	if (told("exit"))
		_exit(1);
	if (told("abort"))
		abort_as_told();
	while (told("hang"))
		pause();
	if (told("ignore"))
		return;
	if (told("malformed"))
		reply_malformed(request);
	else if (told("long"))
		reply_too_much(request);
	else if (told("empty"))
		reply_with(request, 0, "", NULL, 0);
	else if (told("outlive"))
		outlive(request);
	else if (told("reply_absent"))
		reply_from_absent(request);
	else if (told("error"))
		reply_with(request, number, "as ordered,\n\001\033 with control characters", NULL, 0);
	else {
		if (told("noise"))
			make_noise(request);
		answer_well(request, payload);
	}
	if (told("next_absent"))
		read_into_absent();
	if (told("next_misread"))
		misread();
}

/* "READ crash_over N": before a request of more than N bytes is read. */
static void die_unread(int length)
{
	read_orders("READ");
	if (told("crash_over") && length > number) {
		note("UNREAD size=%d\n", length);
		crash();
	}
}

/* "READ refuse": before it is read, whatever it is. */
static bool refused(void)
{
	struct pollfd pipe = { .fd = PIPE, .events = POLLIN };
	__u32 any = 0;
	int error;

	read_orders("READ");
	if (!told("refuse"))
		return false;
	poll(&pipe, 1, -1);
	error = ioctl(PIPE, BPFILTER_IOC_REFUSE, &any) ? errno : 0;
	note("REFUSE errno=%d\n", error);
	return !error;
}

/* One request, by the length that FIONREAD tells; a smaller buffer must not lose it. */
static void *read_request(void)
{
	static char *buffer;
	static int room;
	ssize_t size;
	int length;

	for (;;) {
		if (!buffer || ioctl(PIPE, FIONREAD, &length))
			length = 4096;
		die_unread(length);
		if (refused())
			continue;
		if (length > room) {
			room = length;
			buffer = realloc(buffer, room);
			if (!buffer)
				give_up("no memory");
		}
		size = read(PIPE, buffer, room);
		if (size > 0)
			return buffer;
		if (size == 0)
			_exit(0);
		if (errno != EMSGSIZE)
			give_up("cannot read");
	}
}

/*
 * Asked for a table of this name, the test wants to know no more than that everything before
 * has been dealt with.
 */
static bool is_fence(const struct bpfilter_request_header *request)
{
	return request->opcode == BPFILTER_OP_GET_INFO &&
	       !strcmp((const char *)(request + 1), "fence");
}

int main(void)
{
	/* As the real one: how tests find it. */
	prctl(PR_SET_NAME, "bpfilter_umh");
	for (;;) {
		struct bpfilter_request_header *request = read_request();
		if (is_fence(request)) {
			reply_with(request, EXDEV, "", NULL, 0);
			continue;
		}
		note("%s pid=%d id=%llu netns=%llu family=%u flags=%u size=%zu\n",
		     opcode_of(request), getpid(), (unsigned long long)request->id,
		     (unsigned long long)request->netns, request->family, request->flags,
		     request->length - sizeof(*request));
		read_orders(opcode_of(request));
		carry_out(request, request + 1);
	}
}
