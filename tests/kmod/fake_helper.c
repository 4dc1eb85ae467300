// SPDX-License-Identifier: GPL-2.0
/*
 * A helper for the tests of bpfilter.ko: speaks the pipe, knows one table that never
 * changes, and misbehaves as it is told.
 *
 * It is told by lines "OPCODE ACTION [NUMBER]" in /run/fake_helper/orders, read anew for
 * every request; without a line for its opcode a request is answered well. What it reads
 * and what its ioctls give is appended to /run/fake_helper/log, a line each.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <bpfilter/context.h>
#include <bpfilter/pipe.h>

#define PIPE 0
#define ENTRIES 4
#define ENTRIES_SIZE 632 /* what a fresh filter table has */

/* The same in kmod/main.c: the contract does not depend on who builds it. */
_Static_assert(sizeof(struct bpfilter_request_header) == 40, "request");
_Static_assert(sizeof(struct bpfilter_reply_header) == 24, "reply");
_Static_assert(sizeof(struct bpfilter_settings) == 8, "settings");
_Static_assert(sizeof(struct bpfilter_init) == 16, "init");
_Static_assert(sizeof(struct bpfilter_table_name) == 32, "table_name");
_Static_assert(sizeof(struct bpfilter_get_entries) == 40, "get_entries");
_Static_assert(sizeof(struct bpfilter_count) == 8, "count");
_Static_assert(sizeof(struct bpfilter_commit_hook) == 16, "commit_hook");
_Static_assert(sizeof(struct bpfilter_commit) == 168, "commit");
_Static_assert(sizeof(struct bpfilter_kept) == 48, "kept");
_Static_assert(sizeof(struct bpfilter_give) == 32, "give");
_Static_assert(sizeof(struct bpfilter_context) == 40, "context");

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

static char action[32]; /* for the request at hand */
static int number;

/* Standard error is the kernel log. */
static void give_up(const char *why)
{
	dprintf(STDERR_FILENO, "fake_helper: %s, errno %d\n", why, errno);
	_exit(100);
}

static bool told(const char *word)
{
	return !strcmp(action, word);
}

static void note(const char *format, ...)
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

static void read_orders(const char *opcode)
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

static void reply_with(const struct bpfilter_request_header *request, int error, const char *message,
		       const void *payload, size_t size)
{
	struct bpfilter_reply_header reply = {
		.length = sizeof(reply) + strlen(message) + size,
		.error = -error,
		.id = request->id,
		.message_length = strlen(message),
	};
	struct iovec part[] = {
		{ &reply, sizeof(reply) },
		{ (void *)message, strlen(message) },
		{ (void *)payload, size },
	};

	if (writev(PIPE, part, 3) < 0)
		note("write errno=%d\n", errno);
}

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load_program(enum bpf_prog_type type, int result)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = result },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (unsigned long)code,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

/* Reads four bytes of the packet directly, which hook.c does not prepare for. */
static int load_direct_access(void)
{
	struct bpf_insn code[] = {
		{ BPF_LDX | BPF_W | BPF_MEM, 2, 1, offsetof(struct __sk_buff, data), 0 },
		{ BPF_LDX | BPF_W | BPF_MEM, 3, 1, offsetof(struct __sk_buff, data_end), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 4 },
		{ BPF_JMP | BPF_JGT | BPF_X, 4, 3, 1, 0 },
		{ BPF_LDX | BPF_W | BPF_MEM, 0, 2, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

/* Gives the packet a mark, and lets it go on. */
static int load_marking(int mark)
{
	struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, mark },
		{ BPF_STX | BPF_W | BPF_MEM, 1, 2, offsetof(struct __sk_buff, mark), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int create_map(enum bpf_map_type type, unsigned int value_size)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = 4,
		.value_size = value_size,
		.max_entries = 1,
	};

	return bpf(BPF_MAP_CREATE, &attr);
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
	else if (told("commit_nat_at_forward"))
		commit->hook[1].flags = BPFILTER_HOOK_NAT;
	else if (told("mark") || told("mark_and_reroute"))
		commit->hook[2].prog_fd = load_marking(number);
	if (told("mark_and_reroute"))
		commit->hook[2].flags = BPFILTER_HOOK_REROUTE;
	if (told("commit_other_id"))
		commit->id += 1000;
}

/* Programs that do `verdict` at INPUT, FORWARD and OUTPUT. */
static int commit(const struct bpfilter_request_header *request, const char *table, int verdict)
{
	struct bpfilter_commit commit = {
		.id = request->id,
		.flags = request->opcode == BPFILTER_OP_REPLACE && !told("unpinned") ?
				 BPFILTER_COMMIT_PIN | BPFILTER_COMMIT_WATCH :
				 BPFILTER_COMMIT_WATCH,
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
	spoil(&commit);
	result = ioctl(PIPE, BPFILTER_IOC_COMMIT, &commit) ? errno : 0;
	note("COMMIT errno=%d\n", result);
	/* Everything else it has is the module's, or wrong. */
	for (i = 3; i < 64; i++)
		close(i);
	return result;
}

static unsigned int count_kept(const struct bpfilter_request_header *request)
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

static void answer_init(const struct bpfilter_request_header *request)
{
	struct bpfilter_init init = {
		.major = told("other_version") ? BPFILTER_PIPE_MAJOR + 1 : BPFILTER_PIPE_MAJOR,
		.minor = BPFILTER_PIPE_MINOR,
	};

	reply_with(request, 0, "", &init, sizeof(init));
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

static void answer_replace(const struct bpfilter_request_header *request, const void *payload)
{
	const struct ipt_replace *replace = payload;
	int error = 0;

	if (!told("no_commit"))
		error = commit(request, replace->name,
			       replace->num_entries == DROPPING ? BPFILTER_DROP :
								  BPFILTER_ACCEPT);
	if (told("commit_then_crash"))
		_exit(1);
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
		_exit(1);
	reply_with(request, told("give_then_fail") ? EPERM : 0, "", NULL, 0);
}

static void answer_well(const struct bpfilter_request_header *request, const void *payload)
{
	switch (request->opcode) {
	case BPFILTER_OP_INIT:
		answer_init(request);
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

static void write_raw(const void *data, size_t size)
{
	ssize_t result = write(PIPE, data, size);

	note("write errno=%d\n", result < 0 ? errno : 0);
}

static void answer_malformed(const struct bpfilter_request_header *request)
{
	struct bpfilter_reply_header reply = { .length = sizeof(reply), .id = request->id };

	switch (number) {
	case 0:
		reply.length = 1 << 30;
		break;
	case 1:
		reply.error = 1;
		break;
	case 2:
		reply.error = -5000;
		break;
	case 3:
		reply.message_length = ~0U;
		break;
	case 4:
		reply.reserved = 1;
		break;
	}
	write_raw(&reply, sizeof(reply));
}

/* Things that no reply is; the request is then answered well. */
static void make_noise(const struct bpfilter_request_header *request)
{
	const void *volatile unmapped = (void *)8;
	struct bpfilter_reply_header reply = { .length = sizeof(reply), .id = request->id + 1000 };

	write_raw("x", 1);
	write_raw(&reply, sizeof(reply));
	write_raw(unmapped, 24);
	if (ioctl(PIPE, 0x1234, 0) < 0)
		note("ioctl errno=%d\n", errno);
	if (lseek(PIPE, 0, SEEK_SET) < 0)
		note("lseek errno=%d\n", errno);
}

static void reply_too_much(const struct bpfilter_request_header *request)
{
	size_t size = request->reply_limit + 1;
	void *payload = calloc(1, size);

	reply_with(request, 0, "", payload, size);
	free(payload);
}

static void carry_out(const struct bpfilter_request_header *request, const void *payload)
{
	if (told("crash"))
		_exit(1);
	while (told("hang"))
		pause();
	if (told("slow"))
		usleep(number * 1000);
	if (told("ignore"))
		return;
	if (told("malformed"))
		answer_malformed(request);
	else if (told("long"))
		reply_too_much(request);
	else if (told("empty"))
		reply_with(request, 0, "", NULL, 0);
	else if (told("error"))
		reply_with(request, number, "as ordered,\n\001\033 with control characters", NULL, 0);
	else {
		if (told("noise"))
			make_noise(request);
		answer_well(request, payload);
	}
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

int main(void)
{
	for (;;) {
		struct bpfilter_request_header *request = read_request();
		const char *opcode = request->opcode < sizeof(opcodes) / sizeof(opcodes[0]) ?
					     opcodes[request->opcode] : "?";

		note("%s pid=%d id=%llu netns=%llu family=%u size=%zu\n", opcode, getpid(),
		     (unsigned long long)request->id, (unsigned long long)request->netns,
		     request->family, request->length - sizeof(*request));
		read_orders(opcode);
		carry_out(request, request + 1);
	}
}
