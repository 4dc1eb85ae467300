/* SPDX-License-Identifier: GPL-2.0 */
/* What the helper asks for by ioctl; <bpfilter/pipe.h> is the manual. */
#ifndef KMOD_PIPE_IOCTL_H
#define KMOD_PIPE_IOCTL_H

struct file;

/* Of a file of pipe.c. */
long bpfilter_pipe_ioctl(struct file *file, unsigned int command, unsigned long argument);

#endif /* KMOD_PIPE_IOCTL_H */
