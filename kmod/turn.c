// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "netns.h"
#include "request.h"
#include "turn.h"

/*
 * Shares are found by a hash: two users who meet in one take their turns together, which is
 * all the harm there is, and nothing has to be allocated for a user. Share 0 is met by nobody.
 */
#define SHARES 64

struct share {
	struct list_head lines; /* those that are ready, whose turn is next first */
	struct list_head in_ring; /* while there are any */
	unsigned int running;
};

static struct share shares[SHARES];
static LIST_HEAD(ring); /* whose turn is next first */
static unsigned int running; /* of all shares */
static struct bpfilter_line no_namespace;
static u32 seed;

static unsigned int share_of(const struct user_namespace *user)
{
	unsigned long key;

	if (user == &init_user_ns)
		return 0;
	while (user->parent != &init_user_ns)
		user = user->parent;
	key = uid_eq(user->owner, GLOBAL_ROOT_UID) ? (unsigned long)user : __kuid_val(user->owner);
	return 1 + jhash(&key, sizeof(key), seed) % (SHARES - 1);
}

void bpfilter_turn_init(void)
{
	size_t i;

	seed = get_random_u32();
	for (i = 0; i < ARRAY_SIZE(shares); i++) {
		INIT_LIST_HEAD(&shares[i].lines);
		INIT_LIST_HEAD(&shares[i].in_ring);
	}
	bpfilter_line_init(&no_namespace, &init_net);
}

void bpfilter_line_init(struct bpfilter_line *line, const struct net *net)
{
	INIT_LIST_HEAD(&line->requests);
	INIT_LIST_HEAD(&line->in_share);
	line->share = share_of(net->user_ns);
}

static struct bpfilter_line *line_of(const struct bpfilter_request *request)
{
	return request->net ? &bpfilter_net(request->net)->line : &no_namespace;
}

/* After any change of a line: it stands in its share, and that in the ring, if it is ready. */
static void update(struct bpfilter_line *line)
{
	struct share *share = &shares[line->share];

	if (line->busy || list_empty(&line->requests))
		list_del_init(&line->in_share);
	else if (list_empty(&line->in_share))
		list_add_tail(&line->in_share, &share->lines);

	if (list_empty(&share->lines))
		list_del_init(&share->in_ring);
	else if (list_empty(&share->in_ring))
		list_add_tail(&share->in_ring, &ring);
}

void bpfilter_turn_join(struct bpfilter_request *request, bool first)
{
	struct bpfilter_line *line = line_of(request);

	if (first)
		list_add(&request->in_line, &line->requests);
	else
		list_add_tail(&request->in_line, &line->requests);
	request->turn = TURN_WAITS;
	if (request->header.opcode == BPFILTER_OP_DEVICES)
		line->devices = true;
	update(line);
}

/* Two notices may wait, after a misread; that a third may then come does no harm. */
static void take_out(struct bpfilter_line *line, struct bpfilter_request *request)
{
	list_del(&request->in_line);
	if (request->header.opcode == BPFILTER_OP_DEVICES)
		line->devices = false;
}

static bool may_run(const struct share *share, unsigned int threads)
{
	if (share == &shares[0])
		return running < threads;
	return running < threads - threads / 8 && share->running < max(threads / 4, 1U);
}

struct bpfilter_request *bpfilter_turn_next(unsigned int threads)
{
	struct bpfilter_line *line;
	struct share *share;

	list_for_each_entry(share, &ring, in_ring) {
		if (!may_run(share, threads))
			continue;
		line = list_first_entry(&share->lines, struct bpfilter_line, in_share);
		return list_first_entry(&line->requests, struct bpfilter_request, in_line);
	}
	return NULL;
}

void bpfilter_turn_start(struct bpfilter_request *request)
{
	struct bpfilter_line *line = line_of(request);
	struct share *share = &shares[line->share];

	take_out(line, request);
	request->turn = TURN_RUNS;
	line->busy = true;
	share->running++;
	running++;
	update(line);
	if (!list_empty(&share->in_ring))
		list_move_tail(&share->in_ring, &ring);
}

void bpfilter_turn_leave(struct bpfilter_request *request)
{
	struct bpfilter_line *line = line_of(request);

	switch (request->turn) {
	case TURN_NONE:
		return;
	case TURN_WAITS:
		take_out(line, request);
		break;
	case TURN_RUNS:
		line->busy = false;
		shares[line->share].running--;
		running--;
		break;
	}
	request->turn = TURN_NONE;
	update(line);
}

bool bpfilter_turn_has_devices(const struct bpfilter_request *request)
{
	return line_of(request)->devices;
}
