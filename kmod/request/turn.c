// SPDX-License-Identifier: GPL-2.0
#include <linux/jhash.h>
#include <linux/random.h>
#include <net/net_namespace.h>

#include "base/keep.h"
#include "base/netns.h"
#include "request/request.h"
#include "request/turn.h"

/*
 * Shares are found by a hash: two users who meet in one take their turns together, which is
 * all the harm there is, and nothing has to be allocated for a user. Share 0 is met by nobody.
 */
#define SHARES 64

/*
 * Bytes of heavy requests that may be with the helper at a time: some 14,000 rules, over which the
 * verifier of 6.1 needs nearly half a gigabyte.
 */
#define IN_WORK_MAX (2UL * 1024 * 1024)

enum weight { LIGHT, HEAVY, WEIGHTS };

struct share {
	struct list_head lines[WEIGHTS]; /* those that are ready, whose turn is next first */
	struct list_head in_ring; /* while there are any */
	unsigned int running;
};

enum whose { OWN, OTHERS, WHOSE };

static struct share shares[SHARES];
static LIST_HEAD(ring); /* whose turn is next first */
static unsigned int running; /* of all shares */
static unsigned long in_work[WHOSE]; /* bytes of heavy requests */
static u64 clock;
static struct bpfilter_line no_namespace;
static u32 seed;

static unsigned int share_of(const struct user_namespace *user)
{
	const unsigned long key = bpfilter_user_key(user);

	return key ? 1 + jhash(&key, sizeof(key), seed) % (SHARES - 1) : 0;
}

void bpfilter_turn_init(void)
{
	size_t i;

	seed = get_random_u32();
	for (i = 0; i < ARRAY_SIZE(shares); i++) {
		INIT_LIST_HEAD(&shares[i].lines[LIGHT]);
		INIT_LIST_HEAD(&shares[i].lines[HEAVY]);
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

static bool is_heavy(const struct bpfilter_request *request)
{
	return request->weight > BPFILTER_LIGHT_MAX;
}

static enum whose whose(const struct share *share)
{
	return share == &shares[0] ? OWN : OTHERS;
}

static struct bpfilter_request *first_of(const struct bpfilter_line *line)
{
	return list_first_entry(&line->requests, struct bpfilter_request, in_line);
}

/* Into its share, if it is ready: behind the others that begin with a request as heavy. */
static void update_line(struct bpfilter_line *line)
{
	const bool ready = !line->busy && !list_empty(&line->requests);
	const bool heavy = ready && is_heavy(first_of(line));

	if (!ready || heavy != line->heavy)
		list_del_init(&line->in_share);
	line->heavy = heavy;
	if (!ready || !list_empty(&line->in_share))
		return;
	line->ready_since = ++clock;
	list_add_tail(&line->in_share, &shares[line->share].lines[heavy ? HEAVY : LIGHT]);
}

/* After any change of a line: it stands in its share, and that in the ring, if it is ready. */
static void update(struct bpfilter_line *line)
{
	struct share *share = &shares[line->share];

	update_line(line);
	if (list_empty(&share->lines[LIGHT]) && list_empty(&share->lines[HEAVY]))
		list_del_init(&share->in_ring);
	else if (list_empty(&share->in_ring))
		list_add_tail(&share->in_ring, &ring);
}

void bpfilter_turn_join(struct bpfilter_request *request, bool first)
{
	struct bpfilter_line *line = line_of(request);

	if (line->share)
		request->header.flags |= BPFILTER_REQUEST_USER;
	if (first)
		list_add(&request->in_line, &line->requests);
	else
		list_add_tail(&request->in_line, &line->requests);
	request->turn = TURN_WAITS;
	if (request->header.opcode == BPFILTER_OP_DEVICES)
		line->devices = request;
	update(line);
}

/* Two notices may wait, after a misread; that a third may then come does no harm. */
static void take_out(struct bpfilter_line *line, struct bpfilter_request *request)
{
	list_del(&request->in_line);
	if (line->devices == request)
		line->devices = NULL;
}

static bool may_run(const struct share *share, unsigned int threads)
{
	if (share == &shares[0])
		return running < threads;
	return running < threads - threads / 8 && share->running < max(threads / 4, 1U);
}

static struct bpfilter_line *first_line(struct share *share, enum weight weight)
{
	return list_first_entry_or_null(&share->lines[weight], struct bpfilter_line, in_share);
}

static bool has_room(const struct bpfilter_line *line, enum whose whose)
{
	return !in_work[whose] || in_work[whose] + first_of(line)->weight <= IN_WORK_MAX;
}

/* The line of the share whose turn it is. `open`: of whom heavy ones do not wait for room. */
static struct bpfilter_line *next_line(struct share *share, bool *open)
{
	struct bpfilter_line *light = first_line(share, LIGHT), *heavy = first_line(share, HEAVY);
	const enum whose owner = whose(share);

	if (heavy && open[owner])
		open[owner] = has_room(heavy, owner);
	if (!heavy || !open[owner])
		return light;
	return light && light->ready_since < heavy->ready_since ? light : heavy;
}

struct bpfilter_request *bpfilter_turn_next(unsigned int threads)
{
	bool open[WHOSE] = { true, true };
	struct bpfilter_line *line;
	struct share *share;

	list_for_each_entry(share, &ring, in_ring) {
		line = may_run(share, threads) ? next_line(share, open) : NULL;
		if (line)
			return first_of(line);
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
	if (is_heavy(request))
		in_work[whose(share)] += request->weight;
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
		if (is_heavy(request))
			in_work[whose(&shares[line->share])] -= request->weight;
		break;
	}
	request->turn = TURN_NONE;
	update(line);
}

struct bpfilter_request *bpfilter_turn_devices(const struct bpfilter_request *request)
{
	return line_of(request)->devices;
}

bool bpfilter_turn_is_busy(const struct net *net)
{
	const struct bpfilter_line *line = &bpfilter_net(net)->line;

	return line->busy || !list_empty(&line->requests);
}
