// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "base/keep.h"

/* The part of the machine's memory that one user's tables may take, if nothing else is said. */
#define SHARE_OF_MEMORY 8

static unsigned int user_memory;
module_param(user_memory, uint, 0644);
MODULE_PARM_DESC(user_memory, "MiB that the tables of one user may keep; 0: an eighth of memory");

/* So many links at XDP may one user have. */
#define LINKS_MAX 256

/* One for each user who has a table or had a request, as long as his namespaces and tables. */
struct bpfilter_keeper {
	struct list_head list;
	refcount_t refs;
	unsigned long key;
	atomic_long_t bytes;
	atomic_t retired; /* versions of tables that are out of force, and charged */
	atomic_t links;
};

static DEFINE_MUTEX(keepers_mutex);
static LIST_HEAD(keepers);

unsigned long bpfilter_user_key(const struct user_namespace *user)
{
	if (user == &init_user_ns)
		return 0;
	while (user->parent != &init_user_ns)
		user = user->parent;
	return uid_eq(user->owner, GLOBAL_ROOT_UID) ? (unsigned long)user : __kuid_val(user->owner);
}

static struct bpfilter_keeper *find(unsigned long key)
{
	struct bpfilter_keeper *keeper;

	lockdep_assert_held(&keepers_mutex);
	list_for_each_entry(keeper, &keepers, list)
		if (keeper->key == key)
			return keeper;
	return NULL;
}

static void add(struct bpfilter_keeper *keeper, unsigned long key)
{
	lockdep_assert_held(&keepers_mutex);
	refcount_set(&keeper->refs, 1);
	keeper->key = key;
	list_add(&keeper->list, &keepers);
}

struct bpfilter_keeper *bpfilter_keeper_get(const struct net *net)
{
	const unsigned long key = bpfilter_user_key(net->user_ns);
	struct bpfilter_keeper *fresh, *keeper;

	if (!key)
		return NULL;
	/* Before the mutex, for which others wait: his group may have to wait for its memory. */
	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&keepers_mutex);
	keeper = find(key);
	if (keeper)
		refcount_inc(&keeper->refs);
	else
		add(fresh, key);
	mutex_unlock(&keepers_mutex);
	if (!keeper)
		return fresh;
	kfree(fresh);
	return keeper;
}

struct bpfilter_keeper *bpfilter_keeper_share(struct bpfilter_keeper *keeper)
{
	if (keeper)
		refcount_inc(&keeper->refs);
	return keeper;
}

void bpfilter_keeper_put(struct bpfilter_keeper *keeper)
{
	if (!keeper || !refcount_dec_and_mutex_lock(&keeper->refs, &keepers_mutex))
		return;
	list_del(&keeper->list);
	mutex_unlock(&keepers_mutex);
	kfree(keeper);
}

static unsigned long limit(void)
{
	const unsigned long mebibytes = READ_ONCE(user_memory);

	return mebibytes ? mebibytes << 20 : totalram_pages() / SHARE_OF_MEMORY * PAGE_SIZE;
}

/*
 * Who has too much already, since there was more to be had, may have less; once what the last
 * such change took out of force is gone.
 */
static int fits(const struct bpfilter_keeper *keeper, unsigned long all, unsigned long bytes,
		unsigned long instead)
{
	if (all - instead <= limit() || (bytes <= instead && !atomic_read(&keeper->retired)))
		return 0;
	pr_info_ratelimited("the tables of one user would take more than %lu MiB\n",
			    limit() >> 20);
	return -ENOMEM;
}

int bpfilter_keeper_charge(struct bpfilter_keeper *keeper, unsigned long bytes,
			   unsigned long instead)
{
	int error;

	if (!keeper)
		return 0;
	error = fits(keeper, atomic_long_add_return(bytes, &keeper->bytes), bytes, instead);
	if (error)
		atomic_long_sub(bytes, &keeper->bytes);
	return error;
}

int bpfilter_keeper_room(const struct bpfilter_keeper *keeper, unsigned long bytes,
			 unsigned long instead)
{
	if (!keeper)
		return 0;
	return fits(keeper, atomic_long_read(&keeper->bytes) + bytes, bytes, instead);
}

void bpfilter_keeper_add(struct bpfilter_keeper *keeper, unsigned long bytes)
{
	if (keeper)
		atomic_long_add(bytes, &keeper->bytes);
}

void bpfilter_charge_retire(struct bpfilter_charge *charge)
{
	if (!charge->keeper)
		return;
	charge->retired = true;
	atomic_inc(&charge->keeper->retired);
}

void bpfilter_charge_end(const struct bpfilter_charge *charge)
{
	if (charge->retired)
		atomic_dec(&charge->keeper->retired);
	bpfilter_keeper_uncharge(charge->keeper, charge->bytes);
	bpfilter_keeper_put(charge->keeper);
}

void bpfilter_keeper_uncharge(struct bpfilter_keeper *keeper, unsigned long bytes)
{
	if (keeper)
		atomic_long_sub(bytes, &keeper->bytes);
}

bool bpfilter_keeper_take_link(struct bpfilter_keeper *keeper)
{
	return !keeper || atomic_add_unless(&keeper->links, 1, LINKS_MAX);
}

void bpfilter_keeper_drop_link(struct bpfilter_keeper *keeper)
{
	if (keeper)
		atomic_dec(&keeper->links);
}
