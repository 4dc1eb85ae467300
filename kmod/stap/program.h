/* SPDX-License-Identifier: GPL-2.0 */
/* A BPF program of a tap, and its run. */
#ifndef KMOD_STAP_PROGRAM_H
#define KMOD_STAP_PROGRAM_H

#include <linux/types.h>

struct bpf_prog;
struct sk_buff;
struct stap;
struct stap_direction;

/* By a descriptor of the caller. NULL for -1; an error in the pointer. */
struct bpf_prog *stap_program_get(int fd);
struct bpf_prog *stap_program_ref(struct bpf_prog *program);
void stap_program_put(struct bpf_prog *program);

/* With a view, see view.h. What enum stap_verdict and the parsers' manual say. */
int stap_program_run(const struct bpf_prog *program, struct sk_buff *view);

/* A parser's answer made certain: 0 more, > 0 a length that may be, < 0 an errno. */
int stap_checked_length(int answer);

/* Counts a message by its verdict, which is one of the three afterwards. */
int stap_counted_verdict(struct stap_direction *direction, int verdict, u32 size);

#endif /* KMOD_STAP_PROGRAM_H */
