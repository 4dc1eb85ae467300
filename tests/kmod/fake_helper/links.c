// SPDX-License-Identifier: GPL-2.0
/* XDP's links, guards and looks, as a helper gives them that was taken over. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_helper.h"

#define LOOPBACK 1

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int must(int result, const char *what)
{
	if (result < 0)
		give_up(what);
	return result;
}

/* Of the namespace we are in; on loopback it is generic anyway. It passes everything. */
static int create_link(int index)
{
	const int program = load_program(BPF_PROG_TYPE_XDP, XDP_PASS);
	union bpf_attr attr = {
		.link_create = {
			.prog_fd = program,
			.target_ifindex = index,
			.attach_type = BPF_XDP,
			.flags = XDP_FLAGS_SKB_MODE,
		},
	};
	const int link = must(bpf(BPF_LINK_CREATE, &attr), "no link at XDP");

	close(program);
	return link;
}

/* On a device of the request's namespace. */
static int create_link_there(const struct bpfilter_request_header *request, int index)
{
	const int home = must(open("/proc/self/ns/net", O_RDONLY), "no namespace");
	const int away = must(ioctl(PIPE, BPFILTER_IOC_NETNS, &request->id), "no netns");
	int link;

	must(setns(away, CLONE_NEWNET), "cannot go there");
	link = create_link(index);
	must(setns(home, CLONE_NEWNET), "cannot come back");
	close(home);
	close(away);
	return link;
}

/* A link, but not of XDP's. */
static int create_lookup_link(void)
{
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_SK_LOOKUP,
		.expected_attach_type = BPF_SK_LOOKUP,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
	};
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .link_create.attach_type = BPF_SK_LOOKUP };

	load.insns = (unsigned long)code;
	attr.link_create.prog_fd = must(bpf(BPF_PROG_LOAD, &load), "no program for sockets");
	attr.link_create.target_fd = must(open("/proc/self/ns/net", O_RDONLY), "no namespace");
	return must(bpf(BPF_LINK_CREATE, &attr), "no link for sockets");
}

static int create_map_of(enum bpf_map_type type, unsigned int value_size, unsigned int entries,
			 unsigned int flags)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = 4,
		.value_size = value_size,
		.max_entries = entries,
		.map_flags = flags,
	};

	return must(bpf(BPF_MAP_CREATE, &attr), "no map");
}

static int create_guard(void)
{
	return create_map_of(BPF_MAP_TYPE_ARRAY, 8, 1, 0);
}

static unsigned long long value_of(int guard)
{
	unsigned long long value = ~0ULL;
	unsigned int key = 0;
	union bpf_attr attr = {
		.map_fd = guard,
		.key = (unsigned long)&key,
		.value = (unsigned long)&value,
	};

	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "no value");
	return value;
}

static struct bpfilter_look look_at(const struct bpfilter_request_header *request,
				    struct bpfilter_look_link *links)
{
	static struct bpfilter_look_address addresses[BPFILTER_ADDRESSES_MAX];
	static struct bpfilter_look_device device;
	struct bpfilter_look look = {
		.id = request->id,
		.devices = (unsigned long)&device,
		.addresses = (unsigned long)addresses,
		.links = (unsigned long)links,
		.device_count = 1,
		.address_count = BPFILTER_ADDRESSES_MAX,
		.link_count = BPFILTER_LINKS_MAX,
	};

	/* For its sake routes are heard, without which no guard is set. */
	strcpy(device.name, "lo");
	must(ioctl(PIPE, BPFILTER_IOC_LOOK, &look), "no look");
	return look;
}

static struct bpfilter_attach attach_to(const struct bpfilter_request_header *request, int index)
{
	struct bpfilter_look_link links[BPFILTER_LINKS_MAX];

	return (struct bpfilter_attach){
		.id = request->id,
		.generation = look_at(request, links).generation,
		.index = index,
		.link_fd = -1,
		.prog_fd = -1,
		.guard_fd = -1,
	};
}

static void try_attach(struct bpfilter_attach attach)
{
	note("ATTACH errno=%d\n", ioctl(PIPE, BPFILTER_IOC_ATTACH, &attach) ? errno : 0);
}

static void try_detach(struct bpfilter_detach detach)
{
	note("DETACH errno=%d\n", ioctl(PIPE, BPFILTER_IOC_DETACH, &detach) ? errno : 0);
}

static void attach_well(const struct bpfilter_request_header *request, int index)
{
	const int link = create_link_there(request, index);
	struct bpfilter_attach attach = attach_to(request, index);

	attach.link_fd = link;
	attach.guard_fd = create_guard();
	try_attach(attach);
	note("GUARD value=%llu\n", value_of(attach.guard_fd));
}

/* Of `number` on, one after the other. */
static void attach_many(const struct bpfilter_request_header *request)
{
	struct bpfilter_look_link links[BPFILTER_LINKS_MAX];
	int index = number, error = 0;

	for (; !error; index++) {
		const int link = create_link_there(request, index);
		struct bpfilter_attach attach = attach_to(request, index);

		attach.link_fd = link;
		error = ioctl(PIPE, BPFILTER_IOC_ATTACH, &attach) ? errno : 0;
		close(link);
	}
	note("MANY links=%u last=%d errno=%d\n", look_at(request, links).link_count, index - 1,
	     error);
}

static int open_other_link(void)
{
	switch (number) {
	case 0:
		return 1000;
	case 1:
		return must(open("/dev/null", O_RDONLY), "no /dev/null");
	case 2:
		return PIPE;
	case 3:
		return create_guard();
	case 4:
		return load_program(BPF_PROG_TYPE_XDP, XDP_PASS);
	default:
		return create_lookup_link();
	}
}

static int open_other_program(void)
{
	switch (number) {
	case 0:
		return 1000;
	case 1:
		return PIPE;
	case 2:
		return create_guard();
	case 3:
		return create_lookup_link();
	default:
		return load_program(BPF_PROG_TYPE_SCHED_CLS, 0);
	}
}

static int open_other_guard(void)
{
	switch (number) {
	case 0:
		return 1000;
	case 1:
		return PIPE;
	case 2:
		return load_program(BPF_PROG_TYPE_XDP, XDP_PASS);
	case 3:
		return create_map_of(BPF_MAP_TYPE_HASH, 8, 1, 0);
	case 4:
		return create_map_of(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 1, 0);
	case 5:
		return create_map_of(BPF_MAP_TYPE_ARRAY, 4, 1, 0);
	case 6:
		return create_map_of(BPF_MAP_TYPE_ARRAY, 8, 2, 0);
	case 7:
		return create_map_of(BPF_MAP_TYPE_ARRAY, 8, 1, BPF_F_MMAPABLE);
	case 8:
		return create_map_of(BPF_MAP_TYPE_PROG_ARRAY, 4, 1, 0);
	default:
		return create_typed_map();
	}
}

static void look_wrongly(const struct bpfilter_request_header *request)
{
	static struct bpfilter_look_address addresses[BPFILTER_ADDRESSES_MAX + 1];
	static struct bpfilter_look_device devices[BPFILTER_LINKS_MAX + 1];
	static struct bpfilter_look_link links[BPFILTER_LINKS_MAX + 1];
	struct bpfilter_look look = {
		.id = request->id,
		.devices = (unsigned long)devices,
		.addresses = (unsigned long)addresses,
		.links = (unsigned long)links,
		.device_count = number == 0 ? BPFILTER_LINKS_MAX + 1 : 1,
		.address_count = number == 1 ? BPFILTER_ADDRESSES_MAX + 1 : BPFILTER_ADDRESSES_MAX,
		.link_count = number == 2 ? BPFILTER_LINKS_MAX + 1 : BPFILTER_LINKS_MAX,
	};

	strcpy(devices[0].name, "lo");
	if (number == 3)
		memset(devices[0].name, 'l', sizeof(devices[0].name));
	if (number == 4)
		look.devices = 8;
	if (number == 5)
		look.addresses = 8;
	if (number == 6)
		look.links = 8;
	note("LOOK errno=%d\n", ioctl(PIPE, BPFILTER_IOC_LOOK, &look) ? errno : 0);
}

static void change(const struct bpfilter_request_header *request)
{
	struct bpfilter_attach attach = attach_to(request, LOOPBACK);

	if (told("link_other"))
		attach.link_fd = open_other_link();
	else if (told("link_elsewhere"))
		attach.link_fd = create_link_there(request, number);
	else if (told("link_of_another_namespace"))
		attach.link_fd = create_link(LOOPBACK);
	else if (told("link_program"))
		attach.prog_fd = open_other_program();
	else if (told("link_guard"))
		attach.link_fd = create_link_there(request, LOOPBACK);
	else if (told("link_both"))
		attach.link_fd = attach.prog_fd = load_program(BPF_PROG_TYPE_XDP, XDP_PASS);
	if (told("link_guard"))
		attach.guard_fd = open_other_guard();
	if (told("link_reserved"))
		attach.reserved = 1;
	if (told("link_reserved_2"))
		attach.reserved_2 = 1;
	try_attach(attach);
}

/* The guard of a link there is, with a look that nobody had; then with one of now. */
static void set_guard(const struct bpfilter_request_header *request)
{
	struct bpfilter_attach attach = attach_to(request, LOOPBACK), now = attach;

	now.prog_fd = attach.prog_fd = load_program(BPF_PROG_TYPE_XDP, XDP_PASS);
	now.guard_fd = attach.guard_fd = create_guard();
	attach.generation = number ? now.generation + number : 0;
	try_attach(attach);
	note("GUARD value=%llu\n", value_of(attach.guard_fd));
	try_attach(now);
	note("GUARD value=%llu\n", value_of(attach.guard_fd));
}

/* The link is ours too: it goes, and what the module knows of it is wrong. */
static void go_behind(const struct bpfilter_request_header *request)
{
	struct bpfilter_attach attach = attach_to(request, LOOPBACK);
	union bpf_attr detach = { 0 };

	attach.link_fd = create_link_there(request, LOOPBACK);
	try_attach(attach);
	detach.link_detach.link_fd = attach.link_fd;
	must(bpf(BPF_LINK_DETACH, &detach), "no end of a link");
	attach.link_fd = -1;
	attach.prog_fd = load_program(BPF_PROG_TYPE_XDP, XDP_PASS);
	try_attach(attach);
	try_detach((struct bpfilter_detach){ .id = request->id, .index = LOOPBACK });
}

static void try_id(__u64 id)
{
	const struct bpfilter_attach attach = { .id = id, .link_fd = -1, .prog_fd = -1 };
	struct bpfilter_look look = { .id = id };

	try_attach(attach);
	try_detach((struct bpfilter_detach){ .id = id, .index = LOOPBACK });
	note("LOOK errno=%d\n", ioctl(PIPE, BPFILTER_IOC_LOOK, &look) ? errno : 0);
}

void try_links(const struct bpfilter_request_header *request)
{
	int i;

	if (strncmp(action, "link_", 5))
		return;
	if (told("link_well"))
		attach_well(request, number);
	else if (told("link_many"))
		attach_many(request);
	else if (told("link_detach"))
		try_detach((struct bpfilter_detach){ .id = request->id, .index = number });
	else if (told("link_set"))
		set_guard(request);
	else if (told("link_look"))
		look_wrongly(request);
	else if (told("link_behind"))
		go_behind(request);
	else if (told("link_other_request"))
		try_id(request->id + 1000);
	else if (told("link_this_request"))
		try_id(request->id);
	else
		change(request);
	/* Everything else it has is the module's now, or goes. */
	for (i = 3; i < 64; i++)
		close(i);
}
