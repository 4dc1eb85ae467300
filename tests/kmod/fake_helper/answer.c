// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpfilter/context.h>

#include "fake_helper.h"

static void check_netns(const struct bpfilter_request_header *request)
{
	struct stat namespace, own;
	int fd = ioctl(PIPE, BPFILTER_IOC_NETNS, &request->id);

	if (fd < 0) {
		note("NETNS errno=%d\n", errno);
		return;
	}
	if (!fstat(fd, &namespace) && !stat("/proc/self/ns/net", &own))
		note("NETNS own=%d\n", namespace.st_ino == own.st_ino);
	close(fd);
}

static void answer_init(const struct bpfilter_request_header *request,
			const struct bpfilter_init *asked)
{
	struct bpfilter_init init = {
		.major = told("major") ? number : BPFILTER_PIPE_MAJOR,
		.minor = told("minor") ? number : BPFILTER_PIPE_MINOR,
		.threads = 16, /* it has one, but those that wait for it are not in its hands */
	};
	unsigned int size;

	/* Before minor version 1 there was less of it. */
	size = init.minor ? sizeof(init) : offsetof(struct bpfilter_init, lax);

	note("MODE xdp=%u lax=%u\n", asked->settings.xdp, asked->lax);
	reply_with(request, 0, "", &init,
		   request->reply_limit < size ? request->reply_limit : size);
}

static void answer_info(const struct bpfilter_request_header *request, const void *payload)
{
	struct ipt_getinfo info = {
		.valid_hooks = 0x0e,
		.hook_entry = { ~0U, 0, 152, 304, ~0U },
		.underflow = { ~0U, 0, 152, 304, ~0U },
		.num_entries = ENTRIES,
		.size = ENTRIES_SIZE,
	};
	const char *table = payload;

	if (strcmp(table, "filter")) {
		reply_with(request, ENOENT, "no such table", NULL, 0);
		return;
	}
	check_netns(request);
	/* Forgetful: as a helper that missed the REPLAY of a table. */
	if (!count_kept(request) || told("forgetful")) {
		int error = commit(request, table, BPFILTER_ACCEPT);

		if (error) {
			reply_with(request, error, "", NULL, 0);
			return;
		}
	}
	strcpy(info.name, table);
	reply_with(request, 0, "", &info, sizeof(info));
}

static void answer_entries(const struct bpfilter_request_header *request, const void *payload)
{
	const struct bpfilter_get_entries *get = payload;
	static char entries[ENTRIES_SIZE];

	if (get->size != ENTRIES_SIZE) {
		reply_with(request, EAGAIN, "", NULL, 0);
		return;
	}
	memset(entries, 'e', sizeof(entries));
	reply_with(request, 0, "", entries, sizeof(entries));
}

/* A table of that number of entries drops everything, others accept. */
#define DROPPING 66

static int verdict_of(const struct ipt_replace *replace)
{
	if (told("verdict"))
		return number;
	return replace->num_entries == DROPPING ? BPFILTER_DROP : BPFILTER_ACCEPT;
}

static void answer_replace(const struct bpfilter_request_header *request, const void *payload)
{
	const struct ipt_replace *replace = payload;
	int error = 0;

	if (request->flags & BPFILTER_REQUEST_CHECKED)
		error = commit_checked(request, payload);
	else if (told("check"))
		error = check_entries(request, payload) ? 0 : EBADMSG;
	else if (!told("no_commit"))
		error = commit(request, replace->name, verdict_of(replace));
	if (told("commit_twice"))
		commit(request, replace->name, BPFILTER_DROP);
	if (told("commit_then_crash"))
		crash();
	while (told("commit_then_hang"))
		pause();
	if (told("commit_then_fail"))
		error = EPERM;
	reply_with(request, error, "", NULL, 0);
}

static void answer_old_counters(const struct bpfilter_request_header *request, const void *payload)
{
	const struct bpfilter_count *count = payload;
	struct xt_counters *counters = calloc(count->count, sizeof(*counters));
	unsigned int i;

	if (!counters)
		give_up("no memory");
	for (i = 0; i < count->count; i++)
		counters[i] = (struct xt_counters){ .pcnt = i + 1, .bcnt = 100 * (i + 1) };
	count_kept(request);
	reply_with(request, 0, "", counters, count->count * sizeof(*counters));
	free(counters);
}

/* Four programs, each of which lets everything pass; or what it is told to give instead. */
static void answer_tap(const struct bpfilter_request_header *request)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (unsigned long)code,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
	};
	struct bpfilter_give give = {
		.id = told("other_request") ? request->id + 1000 : request->id,
		.count = told("count") ? number : 4,
		.reserved = told("reserved"),
		.fd = { -1, -1, -1, -1 },
	};
	const int program = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	int times = told("twice") ? 2 : 1;

	if (program < 0)
		give_up("cannot load a program");
	give.fd[1] = program;
	give.fd[3] = told("pipe") ? PIPE : told("closed") ? 1000 : program;
	while (!told("nothing") && times--)
		note("GIVE errno=%d\n", ioctl(PIPE, BPFILTER_IOC_GIVE, &give) ? errno : 0);
	close(program);
	if (told("give_then_crash"))
		crash();
	reply_with(request, told("give_then_fail") ? EPERM : 0, "", NULL, 0);
}

void answer_well(const struct bpfilter_request_header *request, const void *payload)
{
	try_links(request);
	switch (request->opcode) {
	case BPFILTER_OP_INIT:
		answer_init(request, payload);
		break;
	case BPFILTER_OP_GET_INFO:
		answer_info(request, payload);
		break;
	case BPFILTER_OP_GET_ENTRIES:
		answer_entries(request, payload);
		break;
	case BPFILTER_OP_REPLACE:
		answer_replace(request, payload);
		break;
	case BPFILTER_OP_OLD_COUNTERS:
		answer_old_counters(request, payload);
		break;
	case BPFILTER_OP_TAP:
		answer_tap(request);
		break;
	case BPFILTER_OP_REPLAY:
		count_kept(request);
		check_netns(request);
		reply_with(request, 0, "", NULL, 0);
		break;
	default:
		reply_with(request, 0, "", NULL, 0);
	}
}
