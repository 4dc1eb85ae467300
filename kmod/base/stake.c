// SPDX-License-Identifier: GPL-2.0
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "base/keep.h"
#include "base/stake.h"

struct bpfilter_stake {
	struct hlist_node node;
	struct bpfilter_keeper *keeper; /* the tables hold it */
	const struct bpf_map *arena; /* and that */
	unsigned int tables;
	unsigned long size;
	unsigned long bytes; /* on the account for tables that are there */
	unsigned long rest; /* and besides, as soon as it is an orphan */
	bool orphan;
};

static DEFINE_MUTEX(stakes_mutex);
static DEFINE_HASHTABLE(stakes, 8);

static unsigned long hash(const struct bpfilter_keeper *keeper, const struct bpf_map *arena)
{
	return (unsigned long)keeper ^ hash_ptr(arena, BITS_PER_LONG);
}

static struct bpfilter_stake *find(const struct bpfilter_keeper *keeper,
				   const struct bpf_map *arena)
{
	struct bpfilter_stake *stake;

	lockdep_assert_held(&stakes_mutex);
	hash_for_each_possible(stakes, stake, node, hash(keeper, arena))
		if (stake->keeper == keeper && stake->arena == arena)
			return stake;
	return NULL;
}

static struct bpfilter_stake *add(struct bpfilter_keeper *keeper, const struct bpf_map *arena,
				  unsigned long size)
{
	struct bpfilter_stake *stake = kzalloc(sizeof(*stake), GFP_KERNEL);

	if (!stake)
		return NULL;
	stake->keeper = keeper;
	stake->arena = arena;
	stake->size = size;
	hash_add(stakes, &stake->node, hash(keeper, arena));
	return stake;
}

struct bpfilter_stake *bpfilter_stake_take(struct bpfilter_keeper *keeper,
					   const struct bpf_map *arena, unsigned long size,
					   unsigned long bytes)
{
	struct bpfilter_stake *stake;

	mutex_lock(&stakes_mutex);
	stake = find(keeper, arena);
	if (!stake)
		stake = add(keeper, arena, size);
	if (stake) {
		stake->tables++;
		stake->bytes += bytes;
	}
	mutex_unlock(&stakes_mutex);
	return stake;
}

long bpfilter_stake_leave(struct bpfilter_stake *stake, unsigned long bytes)
{
	long more = 0;

	if (!stake)
		return 0;
	mutex_lock(&stakes_mutex);
	stake->bytes -= bytes;
	if (!--stake->tables) {
		more = stake->rest;
		hash_del(&stake->node);
		kfree(stake);
	} else if (stake->orphan) {
		/* What it took stays where it is. */
		stake->rest += bytes;
		more = -(long)bytes;
	}
	mutex_unlock(&stakes_mutex);
	return more;
}

unsigned long bpfilter_stake_rest(const struct bpfilter_stake *stake)
{
	unsigned long rest = 0;

	if (!stake)
		return 0;
	mutex_lock(&stakes_mutex);
	if (stake->tables == 1)
		rest = stake->rest;
	mutex_unlock(&stakes_mutex);
	return rest;
}

void bpfilter_stake_orphan(void)
{
	struct bpfilter_stake *stake;
	int bucket;

	mutex_lock(&stakes_mutex);
	hash_for_each(stakes, bucket, stake, node) {
		if (stake->orphan)
			continue;
		stake->orphan = true;
		stake->rest = stake->size - min(stake->size, stake->bytes);
		bpfilter_keeper_add(stake->keeper, stake->rest);
	}
	mutex_unlock(&stakes_mutex);
}
