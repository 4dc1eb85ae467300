/* SPDX-License-Identifier: GPL-2.0 */
/* The helper's process: what it is given, and what it may do. */
#ifndef KMOD_PIPE_PROCESS_H
#define KMOD_PIPE_PROCESS_H

#include <linux/types.h>

struct bpfilter_session;
struct pid;

/* With the pipe and the image of the session, which knows its pid then. Until it is executed. */
int bpfilter_process_start(struct bpfilter_session *session);
/* Threads of the group that have not exited: they may hold XDP links, or the pipe. */
bool bpfilter_process_is_alive(struct pid *pid);

#endif /* KMOD_PIPE_PROCESS_H */
