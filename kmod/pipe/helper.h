/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The helper's life: its process is started at the first request that needs it, again when it died
 * and there is something for it to do, watched, killed.
 */
#ifndef KMOD_PIPE_HELPER_H
#define KMOD_PIPE_HELPER_H

int bpfilter_helper_init(void);
/* Behind bpfilter_queue_stop(): until no process and no pipe is left. */
void bpfilter_helper_exit(void);

#endif /* KMOD_PIPE_HELPER_H */
