/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose turn it is: which of the queued requests the helper is given next.
 *
 * A *line* is a network namespace: its requests, in order, one of them with the helper at a
 * time. A *share* is who stands behind namespaces: the machine's own user namespace, every
 * user namespace that its root made, every other user with all that he made of them. Shares
 * take turns, and so do the lines of a share.
 *
 * The helper is given no more than it has threads for, so that nothing waits inside of it.
 * Of these threads a share other than the machine's own may have a quarter, and all of these
 * together have no use of the last eighth: root comes through whatever others do.
 *
 * All of it is under the lock of queue.c.
 */
#ifndef KMOD_TURN_H
#define KMOD_TURN_H

#include <linux/list.h>
#include <linux/types.h>

struct bpfilter_request;
struct net;

struct bpfilter_line {
	struct list_head requests; /* by bpfilter_request.in_line */
	struct list_head in_share; /* while it is ready: has requests, none is with the helper */
	unsigned int share;
	bool busy; /* a request of it is with the helper */
	bool devices; /* a notice about its devices waits */
};

/* What a request has to do with a turn. */
enum bpfilter_turn {
	TURN_NONE,
	TURN_WAITS, /* in its line */
	TURN_RUNS, /* with the helper */
};

void bpfilter_turn_init(void);
/* Without the lock: a line that nobody knows yet. */
void bpfilter_line_init(struct bpfilter_line *line, const struct net *net);

/* Into its line, behind the others or before them. */
void bpfilter_turn_join(struct bpfilter_request *request, bool first);
/* The next one for a helper of so many threads, or NULL. */
struct bpfilter_request *bpfilter_turn_next(unsigned int threads);
/* The helper has it. */
void bpfilter_turn_start(struct bpfilter_request *request);
/* It waits no more, or is with the helper no more. */
void bpfilter_turn_leave(struct bpfilter_request *request);
/* Is there a notice about devices that waits in the line of this one? */
bool bpfilter_turn_has_devices(const struct bpfilter_request *request);

#endif /* KMOD_TURN_H */
