/* SPDX-License-Identifier: GPL-2.0 */
/* A BPF program of a tap, and its run. */
#ifndef KMOD_STAP_PROGRAM_H
#define KMOD_STAP_PROGRAM_H

#include <linux/types.h>

struct bpf_prog;
struct sock;
struct stap_direction;
struct stap_view;

/* By a descriptor of the caller. NULL for -1; an error in the pointer. */
struct bpf_prog *stap_program_get(int fd);
struct bpf_prog *stap_program_ref(struct bpf_prog *program);
void stap_program_put(struct bpf_prog *program);

/* Puts `size` bytes of a source, from `offset` on, into the view. 0 or an errno. */
typedef int stap_fill_fn(const void *source, struct stap_view *view, u32 offset, u32 size);

/* Bytes of a direction of a tap, wherever they are. */
struct stap_source {
	struct sock *sk;
	struct stap_direction *direction;
	stap_fill_fn *fill;
	const void *source;
};

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
