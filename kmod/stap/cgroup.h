/* SPDX-License-Identifier: GPL-2.0 */
/* BPF programs at the root of the control groups, which all processes are in. */
#ifndef KMOD_STAP_CGROUP_H
#define KMOD_STAP_CGROUP_H

#include <linux/bpf.h>

struct file;
struct stap_option_code;

struct stap_cgroup_program {
	const char *name;
	enum bpf_attach_type type; /* of the programs for socket options */
	void (*write)(struct stap_option_code *code);
};

/*
 * Attaches some: a link of each, or an ERR_PTR, in the order of the programs. A program is in
 * force until its link is put. An errno if there is no root; then there are no links. It may sleep.
 */
int stap_cgroup_attach(const struct stap_cgroup_program *program, u32 count, struct file **link);

#endif /* KMOD_STAP_CGROUP_H */
