/* SPDX-License-Identifier: GPL-2.0 */
/*
 * COMMIT: a version of a table comes in force, with one pointer, in the place of the old one if
 * there is one. Anything that fails before changes nothing.
 */
#ifndef KMOD_PIPE_COMMIT_H
#define KMOD_PIPE_COMMIT_H

struct bpfilter_commit_records;
struct bpfilter_request;

/* IOC_ROOM, for a request that is held, which is about a table. */
int bpfilter_commit_room(struct bpfilter_request *request, unsigned long bytes);
/* IOC_COMMIT, with an element_size of 0, or IOC_COMMIT_RECORDS, for a request that is held. */
int bpfilter_commit(struct bpfilter_request *request,
		    const struct bpfilter_commit_records *records);

#endif /* KMOD_PIPE_COMMIT_H */
