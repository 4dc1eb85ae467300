/* SPDX-License-Identifier: GPL-2.0 */
/* What a new helper is told of the tables in force. */
#ifndef KMOD_PIPE_REPLAY_H
#define KMOD_PIPE_REPLAY_H

struct list_head;

/* Adds a REPLAY for every one to `replays`. */
int bpfilter_replay_all(struct list_head *replays);

#endif /* KMOD_PIPE_REPLAY_H */
