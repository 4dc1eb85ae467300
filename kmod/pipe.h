/* SPDX-License-Identifier: GPL-2.0 */
/* The pipe as a file: descriptor 0 of the helper. <bpfilter/pipe.h> is its manual. */
#ifndef BF_PIPE_H
#define BF_PIPE_H

#include <linux/types.h>

struct bf_session;
struct file;

/* A new pipe; it holds a reference to the session. */
struct file *bf_pipe_new(struct bf_session *session);
bool bf_is_pipe(const struct file *file);
/*
 * Waits until every pipe is closed, and no task is left in a function of its file. The
 * file does not hold the module, or a running helper would make it unremovable.
 */
void bf_pipe_wait_closed(void);

/* ioctl.c */
long bf_pipe_ioctl(struct file *file, unsigned int command, unsigned long argument);

#endif /* BF_PIPE_H */
