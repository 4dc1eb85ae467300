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
 * What a request is about takes memory of the helper's, a few times over, and of the verifier's,
 * which is on nobody's account. So of *heavy* ones only so many bytes are with the helper at a
 * time, but always one, however large: of the machine's own share, and once more of all others.
 * The first that has to wait for room is not overtaken by other heavy ones, only by light ones.
 *
 * All of it is under the lock of queue.c.
 */
#ifndef KMOD_REQUEST_TURN_H
#define KMOD_REQUEST_TURN_H

#include <linux/types.h>

struct bpfilter_line;
struct bpfilter_request;
struct net;

/* A request with more bytes than that, of its own and of its reply, is a heavy one. */
#define BPFILTER_LIGHT_MAX (64UL * 1024)

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
/* The notice about devices that waits in the line of this one, or NULL. */
struct bpfilter_request *bpfilter_turn_devices(const struct bpfilter_request *request);
/* Does a request of this namespace wait, or is one with the helper? */
bool bpfilter_turn_is_busy(const struct net *net);

#endif /* KMOD_REQUEST_TURN_H */
