// SPDX-License-Identifier: GPL-2.0
/*
 * Instances: which entries the kernel is to check, and programs that have them called. Told by lines
 * "CHECK WHAT N" and "WALK WHAT N": by default it is done well.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpfilter/context.h>

#include "fake_helper.h"

#define ENTRIES_MAX 4096
#define HOOKS 0x0e
#define ELEMENTS 256 /* power of two */
#define ELEMENT_BITS 6

static struct bpfilter_check_entry list[ENTRIES_MAX];

/* What the kernel is to see to: matches, and targets that are not of ip_tables itself. */
static bool is_foreign(const struct ipt_entry *entry)
{
	const struct xt_entry_target *target = (const void *)entry + entry->target_offset;

	return entry->target_offset > sizeof(*entry) ||
	       (target->u.user.name[0] && strcmp(target->u.user.name, XT_ERROR_TARGET));
}

static unsigned int list_entries(const struct ipt_replace *replace)
{
	const struct ipt_entry *entry;
	unsigned int offset, count = 0;

	for (offset = 0; offset < replace->size && count < ENTRIES_MAX;
	     offset += entry->next_offset) {
		entry = (const void *)(replace + 1) + offset;
		if (is_foreign(entry))
			list[count++] = (struct bpfilter_check_entry){ offset, HOOKS };
	}
	return count;
}

static unsigned int instances_of_first(const struct ipt_replace *replace)
{
	const void *bytes = (const void *)(replace + 1) + list[0].offset;
	const struct ipt_entry *entry = bytes;
	const struct xt_entry_match *match;
	unsigned int offset, count = 1;

	for (offset = sizeof(*entry); offset < entry->target_offset;
	     offset += match->u.match_size) {
		match = bytes + offset;
		count++;
	}
	return count;
}

static void spoil(struct bpfilter_check *check, const struct ipt_replace *replace)
{
	if (told("offset"))
		list[0].offset = number;
	else if (told("end"))
		list[0].offset = replace->size - number;
	else if (told("same"))
		list[1] = list[0];
	else if (told("backwards"))
		list[1].offset = 0;
	else if (told("hooks"))
		list[0].hooks = number;
	else if (told("count"))
		check->count = number;
	else if (told("other_id"))
		check->id += 1000;
	else if (told("unmapped"))
		check->entries = 8;
	else if (told("error"))
		check->error = -number;
}

#define CRASHED "/run/fake_helper/crashed"

static bool has_crashed(void)
{
	return !access(CRASHED, F_OK);
}

/* The next helper is told the same, but will live. */
static void crash_once(void)
{
	if (open(CRASHED, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0)
		crash();
}

/* Whether it was taken. */
bool check_entries(const struct bpfilter_request_header *request, const void *payload)
{
	const struct ipt_replace *replace = payload;
	struct bpfilter_check check = {
		.id = request->id,
		.entries = (unsigned long)list,
		.count = list_entries(replace),
	};
	int result = 0;

	read_orders("CHECK");
	if (told("crash_then_nothing") && has_crashed())
		return true;
	if (told("twice"))
		result = ioctl(PIPE, BPFILTER_IOC_CHECK, &check);
	spoil(&check, replace);
	if (!result)
		result = ioctl(PIPE, BPFILTER_IOC_CHECK, &check);
	note("CHECK errno=%d\n", result ? errno : 0);
	if (told("then_crash"))
		crash();
	if (told("then_crash_once") || told("crash_then_nothing"))
		crash_once();
	return !result;
}

/*
 * It calls as many instances as the upper half of `root` says, from the one in the lower half on,
 * until a match does not, and accepts; always the same one if it says 0. Each time it says that what
 * "WALK counted N" names has counted; or nothing has.
 */
static int load_walk(int elements)
{
	const struct bpf_insn code[] = {
		{ BPF_LDX | BPF_W | BPF_MEM, 7, 1, offsetof(struct __sk_buff, cb), 0 },
		{ BPF_ALU64 | BPF_AND | BPF_K, 7, 0, 0, ELEMENTS - 1 },
		{ BPF_ALU64 | BPF_LSH | BPF_K, 7, 0, 0, ELEMENT_BITS },
		{ BPF_LD | BPF_DW | BPF_IMM, 8, BPF_PSEUDO_MAP_VALUE, 0, elements },
		{ 0, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_X, 8, 7, 0, 0 },
		{ BPF_ST | BPF_W | BPF_MEM, 8, 0, offsetof(struct bpfilter_context, counted),
		  told("counted") ? number : -1 },
		{ BPF_LDX | BPF_W | BPF_MEM, 1, 8, offsetof(struct bpfilter_context, again), 0 },
		{ BPF_LDX | BPF_W | BPF_MEM, 2, 8, offsetof(struct bpfilter_context, root), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0 },
		{ BPF_ALU64 | BPF_AND | BPF_K, 3, 0, 0, 0xffff },
		{ BPF_ALU64 | BPF_RSH | BPF_K, 2, 0, 0, 16 },
		/* For ever, or the first, or the next. */
		{ BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 5, 0 },
		{ BPF_JMP | BPF_JGE | BPF_X, 1, 2, 8, 0 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 2, 0 },
		{ BPF_LDX | BPF_W | BPF_MEM, 4, 8, offsetof(struct bpfilter_context, answer), 0 },
		{ BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 5, 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_X, 3, 1, 0, 0 },
		{ BPF_STX | BPF_W | BPF_MEM, 8, 3, offsetof(struct bpfilter_context, call), 0 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_CALL },
		{ BPF_JMP | BPF_JA, 0, 0, 1, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, BPFILTER_ACCEPT },
		{ BPF_STX | BPF_W | BPF_MEM, 8, 1, offsetof(struct bpfilter_context, again), 0 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (unsigned long)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (unsigned long)"GPL",
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void fill(struct bpfilter_commit_records *records,
		 const struct bpfilter_request_header *request, const struct ipt_replace *replace)
{
	const unsigned int calls = list_entries(replace) ? instances_of_first(replace) : 1;
	int program, i;

	records->commit = (struct bpfilter_commit){
		.id = request->id,
		.flags = BPFILTER_COMMIT_PIN,
		.hook_count = 3,
		.kept_count = 2,
	};
	memcpy(records->commit.table, replace->name, sizeof(records->commit.table) - 1);
	records->commit.context_fd = create_map(
		BPF_MAP_TYPE_ARRAY, (told("small") ? number : ELEMENTS) << ELEMENT_BITS);
	program = load_walk(told("small") ? create_map(BPF_MAP_TYPE_ARRAY, ELEMENTS << ELEMENT_BITS) :
					    records->commit.context_fd);
	for (i = 0; i < 3; i++) {
		records->commit.hook[i].hook = i + 1;
		records->commit.hook[i].prog_fd = program;
		records->root[i + 1] = told("root") ? (unsigned int)number : calls << 16;
	}
	for (i = 0; i < 2; i++)
		records->commit.kept_fd[i] = create_map(BPF_MAP_TYPE_ARRAY, 16);
	if (told("reroute"))
		records->commit.hook[2].flags = BPFILTER_HOOK_REROUTE;
	records->element_size = 1 << ELEMENT_BITS;
}

/* With nothing else about it that is wrong. */
static int commit_as_code(struct bpfilter_commit *commit)
{
	int i;

	commit->context_fd = create_map(BPF_MAP_TYPE_PERCPU_ARRAY, 64);
	for (i = 0; i < 3; i++)
		commit->hook[i].prog_fd = load_program(BPF_PROG_TYPE_SCHED_CLS, BPFILTER_CALL);
	return ioctl(PIPE, BPFILTER_IOC_COMMIT, commit);
}

static int walk(const struct bpfilter_request_header *request, const struct ipt_replace *replace)
{
	struct bpfilter_commit_records records = {};
	int result, i;

	fill(&records, request, replace);
	if (told("plain"))
		result = commit_as_code(&records.commit);
	else
		result = ioctl(PIPE, BPFILTER_IOC_COMMIT_RECORDS, &records);
	result = result ? errno : 0;
	note("WALK errno=%d\n", result);
	/* Everything else it has is the module's, or wrong. */
	for (i = 3; i < 64; i++)
		close(i);
	return result;
}

/* For the test to look at. */
static void keep(const void *payload, size_t size)
{
	int fd = open("/run/fake_helper/checked", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, payload, size) != (ssize_t)size)
		give_up("cannot keep what was checked");
	close(fd);
}

static void wait_while(const char *word)
{
	while (told(word)) {
		usleep(10000);
		read_orders("WALK");
	}
}

int commit_checked(const struct bpfilter_request_header *request, const void *payload)
{
	int error = 0;

	keep(payload, request->length - sizeof(*request));
	read_orders("WALK");
	if (told("check"))
		check_entries(request, payload);
	read_orders("WALK");
	if (told("crash"))
		crash();
	if (told("crash_once"))
		crash_once();
	wait_while("wait");
	if (!told("nothing"))
		error = walk(request, payload);
	wait_while("then_wait");
	if (told("then_crash"))
		crash();
	if (told("fail"))
		error = number;
	return error;
}
