/* SPDX-License-Identifier: GPL-2.0 */
/* A BPF program of a tap, and its run. */
#ifndef KMOD_STAP_PROGRAM_H
#define KMOD_STAP_PROGRAM_H

#include <linux/types.h>

struct bpf_prog;
struct sock;
struct stap_direction;
struct stap_source;

/* By a descriptor of the caller. NULL for -1; an error in the pointer. */
struct bpf_prog *stap_program_get(int fd);
struct bpf_prog *stap_program_ref(struct bpf_prog *program);
void stap_program_put(struct bpf_prog *program);
/* The programs of a direction, references included; NULL is none. */
void stap_program_install(struct stap_direction *direction, struct bpf_prog *parse,
			  struct bpf_prog *verdict);

/* A message that has begun is gone, and with it what was known of it. */
void stap_program_forget(struct stap_direction *direction);

/* What is known of the message that begins at offset. */
struct stap_finding {
	int length; /* > 0; 0: more is needed to tell; < 0: an errno */
	int verdict; /* enum stap_verdict, if all of it is there */
};

/*
 * Parser and verdict of the `size` bytes there are from `offset` on. Remembers the length for the
 * next time, and counts what was judged.
 */
struct stap_finding stap_examine(const struct stap_source *source, u32 offset, u32 size);

#endif /* KMOD_STAP_PROGRAM_H */
