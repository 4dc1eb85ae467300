/* SPDX-License-Identifier: GPL-2.0 */
/* The pipe as a file: descriptor 0 of the helper. <bpfilter/pipe.h> is its manual. */
#ifndef KMOD_PIPE_PIPE_H
#define KMOD_PIPE_PIPE_H

#include <linux/types.h>

struct bpfilter_session;
struct file;

/* A new pipe; it holds a reference to the session. */
struct file *bpfilter_pipe_new(struct bpfilter_session *session);
/*
 * Waits until every pipe is closed, and no task is left in a function of its file. The
 * file does not hold the module, or a running helper would make it unremovable.
 */
void bpfilter_pipe_wait_closed(void);

#endif /* KMOD_PIPE_PIPE_H */
