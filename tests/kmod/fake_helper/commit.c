// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_helper.h"

/* What may be kept are arrays; these are not, or could hold the pipe. */
static int open_other_kept(void)
{
	int pair[2];

	switch (number) {
	case 0:
		return load_calling(BPF_FUNC_get_prandom_u32);
	case 1:
		return open("/dev/null", O_RDONLY);
	case 2:
		return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) ? -1 : pair[0];
	default:
		return create_map(BPF_MAP_TYPE_HASH, 16);
	}
}

static int load_extended(void)
{
	int program = load_extensible();

	extend(program);
	return program;
}

static void spoil(struct bpfilter_commit *commit)
{
	if (told("commit_bad_program"))
		commit->hook[0].prog_fd = 1000;
	else if (told("commit_map_as_program"))
		commit->hook[0].prog_fd = commit->context_fd;
	else if (told("commit_other_type"))
		commit->hook[0].prog_fd = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 1);
	else if (told("commit_direct_access"))
		commit->hook[0].prog_fd = load_direct_access();
	else if (told("commit_calling"))
		commit->hook[2].prog_fd = load_calling(number);
	else if (told("commit_calling_below"))
		commit->hook[2].prog_fd = load_calling_below(number);
	else if (told("commit_tunnel_key"))
		commit->hook[2].prog_fd = load_tunnel_key();
	else if (told("commit_reading"))
		commit->hook[2].prog_fd = load_reading(number);
	else if (told("commit_writing"))
		commit->hook[2].prog_fd = load_writing(number);
	else if (told("commit_extended"))
		commit->hook[2].prog_fd = load_extended();
	else if (told("extend_later"))
		commit->hook[2].prog_fd = load_extensible();
	else if (told("commit_tail_call"))
		commit->hook[2].prog_fd =
			load_tail_call(create_map(BPF_MAP_TYPE_PROG_ARRAY, 4));
	else if (told("commit_other_kept"))
		commit->kept_fd[1] = open_other_kept();
	else if (told("commit_hook_out_of_range"))
		commit->hook[0].hook = 5;
	else if (told("commit_hook_twice"))
		commit->hook[1].hook = commit->hook[0].hook;
	else if (told("commit_too_many_hooks"))
		commit->hook_count = ~0U;
	else if (told("commit_too_many_kept"))
		commit->kept_count = 9;
	else if (told("commit_bad_kept"))
		commit->kept_fd[0] = -7;
	else if (told("commit_pipe_kept"))
		commit->kept_fd[0] = PIPE;
	else if (told("commit_bad_context"))
		commit->context_fd = 1000;
	else if (told("commit_small_context"))
		commit->context_fd = create_map(BPF_MAP_TYPE_PERCPU_ARRAY, 16);
	else if (told("commit_typed_context"))
		commit->context_fd = create_typed_map();
	else if (told("commit_plain_context"))
		commit->context_fd = create_map(BPF_MAP_TYPE_ARRAY, 64);
	else if (told("commit_flags"))
		commit->flags = 0x80000000;
	else if (told("commit_other_table"))
		strcpy(commit->table, "nat");
	else if (told("commit_unterminated"))
		memset(commit->table, 'f', sizeof(commit->table));
	else if (told("commit_other_priority"))
		commit->hook[0].priority++;
	else if (told("commit_fewer_hooks"))
		commit->hook_count--;
	else if (told("commit_other_hook_flags"))
		commit->hook[2].flags = BPFILTER_HOOK_REROUTE;
	else if (told("commit_unknown_hook_flags"))
		commit->hook[2].flags = 4;
	else if (told("commit_reroute_at_input"))
		commit->hook[0].flags = BPFILTER_HOOK_REROUTE;
	else if (told("commit_nat"))
		commit->hook[0].flags = commit->hook[2].flags = BPFILTER_HOOK_NAT;
	else if (told("commit_nat_at_forward"))
		commit->hook[1].flags = BPFILTER_HOOK_NAT;
	else if (told("mark") || told("mark_and_reroute"))
		commit->hook[2].prog_fd = load_marking(number);
	if (told("mark_and_reroute"))
		commit->hook[2].flags = BPFILTER_HOOK_REROUTE;
	if (told("commit_other_id"))
		commit->id += 1000;
}

/* Or a DEVICES comes behind each, in the middle of what other tests are about. */
static bool is_to_watch(void)
{
	const int kept_number = number;
	char kept_action[sizeof(action)];
	bool watch;

	strcpy(kept_action, action);
	read_orders("COMMIT");
	watch = told("watch");
	strcpy(action, kept_action);
	number = kept_number;
	return watch;
}

int commit(const struct bpfilter_request_header *request, const char *table, int verdict)
{
	struct bpfilter_commit commit = {
		.id = request->id,
		.flags = request->opcode == BPFILTER_OP_REPLACE && !told("unpinned") ?
				 BPFILTER_COMMIT_PIN :
				 0,
		.hook_count = 3,
		.kept_count = 2,
	};
	int result, i;

	strncpy(commit.table, table, sizeof(commit.table) - 1);
	commit.context_fd = create_map(BPF_MAP_TYPE_PERCPU_ARRAY, 64);
	for (i = 0; i < 3; i++) {
		commit.hook[i].hook = i + 1;
		commit.hook[i].prog_fd = load_program(BPF_PROG_TYPE_SCHED_CLS, verdict);
	}
	for (i = 0; i < 2; i++)
		commit.kept_fd[i] = create_map(BPF_MAP_TYPE_ARRAY, 16);
	if (is_to_watch())
		commit.flags |= BPFILTER_COMMIT_WATCH;
	spoil(&commit);
	result = ioctl(PIPE, BPFILTER_IOC_COMMIT, &commit) ? errno : 0;
	note("COMMIT errno=%d\n", result);
	if (told("extend_later"))
		extend(commit.hook[2].prog_fd);
	/* Everything else it has is the module's, or wrong. */
	for (i = 3; i < 64; i++)
		close(i);
	return result;
}

unsigned int count_kept(const struct bpfilter_request_header *request)
{
	struct bpfilter_kept kept = { .id = request->id };
	unsigned int i;

	if (ioctl(PIPE, BPFILTER_IOC_KEPT, &kept)) {
		note("KEPT errno=%d\n", errno);
		return 0;
	}
	for (i = 0; i < kept.count; i++)
		close(kept.fd[i]);
	note("KEPT count=%u\n", kept.count);
	return kept.count;
}
