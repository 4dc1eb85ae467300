// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>

#include "base/netns.h"
#include "xdp/attach_state.h"
#include "xdp/device.h"
#include "xdp/guard.h"

DEFINE_SPINLOCK(bpfilter_guard_lock);
unsigned int bpfilter_attachments;

void bpfilter_guard_clear(struct bpfilter_attachment *attachment)
{
	lockdep_assert_held(&bpfilter_guard_lock);
	if (attachment->guard)
		WRITE_ONCE(*attachment->guard, 0);
}

/* Something happened to it, which is counted. */
static void disturb(struct bpfilter_attachment *attachment, const struct bpfilter_links *links)
{
	bpfilter_guard_clear(attachment);
	attachment->changed = links->generation;
}

/* Has nothing happened since a look of this generation that concerns it? */
static bool is_up_to_date(const struct bpfilter_attachment *attachment,
			  const struct bpfilter_links *links, u64 generation)
{
	lockdep_assert_held(&bpfilter_guard_lock);
	return !attachment->leaves && generation <= links->generation &&
	       generation >= max(links->changed, attachment->changed);
}

int bpfilter_guard_set(struct bpfilter_attachment *attachment, struct net *net, u64 generation)
{
	int error = 0;

	spin_lock_bh(&bpfilter_guard_lock);
	if (!is_up_to_date(attachment, bpfilter_links_of(net), generation) ||
	    !bpfilter_net_hears_routes(net))
		error = -EAGAIN;
	else if (attachment->guard)
		WRITE_ONCE(*attachment->guard, 1);
	spin_unlock_bh(&bpfilter_guard_lock);
	return error;
}

struct bpf_map *bpfilter_guard_get(s32 fd)
{
	struct bpf_map *map;

	if (fd == -1)
		return NULL;
	map = bpf_map_get(fd);
	if (IS_ERR(map))
		return map;
	/* Types would say where pointers and locks of the kernel's lie, to be written over. */
	if (map->map_type == BPF_MAP_TYPE_ARRAY && !map->btf && map->max_entries == 1 &&
	    map->value_size == sizeof(u64) && !map->map_flags)
		return map;
	bpf_map_put(map);
	return ERR_PTR(-EINVAL);
}

static u64 *guard_of(struct bpf_map *map)
{
	return map ? (u64 *)container_of(map, struct bpf_array, map)->value : NULL;
}

void bpfilter_guard_change(struct bpfilter_attachment *attachment, struct bpf_map *map)
{
	struct bpf_map *old = attachment->guard_map;

	spin_lock_bh(&bpfilter_guard_lock);
	bpfilter_guard_clear(attachment);
	attachment->guard_map = map;
	attachment->guard = guard_of(map);
	bpfilter_guard_clear(attachment);
	spin_unlock_bh(&bpfilter_guard_lock);
	/* The program in force has a reference too, as long as it runs. */
	if (old)
		bpf_map_put(old);
}

void bpfilter_guard_disturb(struct net *net)
{
	struct bpfilter_links *links = bpfilter_links_of(net);
	struct bpfilter_attachment *attachment;

	spin_lock_bh(&bpfilter_guard_lock);
	links->changed = ++links->generation;
	list_for_each_entry(attachment, &links->attachments, list)
		bpfilter_guard_clear(attachment);
	spin_unlock_bh(&bpfilter_guard_lock);
}

void bpfilter_guard_disturb_device(const struct net_device *device)
{
	struct bpfilter_links *links = bpfilter_links_of(dev_net(device));
	struct bpfilter_attachment *attachment;

	spin_lock_bh(&bpfilter_guard_lock);
	links->generation++;
	list_for_each_entry(attachment, &links->attachments, list)
		if (attachment->device == device)
			disturb(attachment, links);
	spin_unlock_bh(&bpfilter_guard_lock);
}

u64 bpfilter_guard_generation(struct net *net)
{
	u64 generation;

	spin_lock_bh(&bpfilter_guard_lock);
	generation = bpfilter_links_of(net)->generation;
	spin_unlock_bh(&bpfilter_guard_lock);
	return generation;
}

/* Of the attachments of one namespace; are there any that do not qualify, but drop? */
static bool clear_unfit(struct net *net)
{
	struct bpfilter_links *links = bpfilter_links_of(net);
	struct bpfilter_attachment *attachment;
	bool any = false;

	spin_lock_bh(&bpfilter_guard_lock);
	list_for_each_entry(attachment, &links->attachments, list) {
		if (!attachment->guard || !READ_ONCE(*attachment->guard) ||
		    bpfilter_device_unfit(attachment->device) == BPFILTER_FIT)
			continue;
		links->generation++;
		disturb(attachment, links);
		any = true;
	}
	spin_unlock_bh(&bpfilter_guard_lock);
	return any;
}

bool bpfilter_guard_poll(void (*visit)(struct net *net))
{
	struct net *net;

	if (!READ_ONCE(bpfilter_attachments))
		return false;
	rtnl_lock();
	rcu_read_lock();
	for_each_net_rcu(net)
		if (bpfilter_net_has_links(net) && clear_unfit(net))
			visit(net);
	rcu_read_unlock();
	rtnl_unlock();
	return true;
}
