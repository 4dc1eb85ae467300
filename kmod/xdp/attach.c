// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "base/keep.h"
#include "base/netns.h"
#include "packet/version.h"
#include "xdp/attach.h"
#include "xdp/attach_state.h"
#include "xdp/device.h"
#include "xdp/guard.h"

/* Who makes, changes and frees attachments. Outside of RTNL. */
static DEFINE_MUTEX(attach_mutex);
static LIST_HEAD(leaving); /* under the lock of guard.c */

static void free_leaving(struct work_struct *work);
static DECLARE_WORK(leave_work, free_leaving);

void bpfilter_links_init(struct bpfilter_links *links)
{
	INIT_LIST_HEAD(&links->attachments);
	links->generation = 1;
	links->changed = 1;
}

static struct bpfilter_attachment *find(struct net *net, u32 index)
{
	struct bpfilter_attachment *attachment, *found = NULL;

	lockdep_assert_held(&attach_mutex);
	spin_lock_bh(&bpfilter_guard_lock);
	list_for_each_entry(attachment, &bpfilter_links_of(net)->attachments, list)
		if (attachment->index == index)
			found = attachment;
	spin_unlock_bh(&bpfilter_guard_lock);
	return found;
}

static struct bpfilter_keeper *keeper_of(const struct bpfilter_links *links)
{
	return container_of(links, struct bpfilter_net, links)->keeper;
}

/* Out of its list, with its guard cleared for good; what is left is to free it. */
static void take_out(struct bpfilter_attachment *attachment, struct bpfilter_links *links,
		     struct list_head *to)
{
	lockdep_assert_held(&bpfilter_guard_lock);
	bpfilter_guard_clear(attachment);
	attachment->leaves = true;
	links->count--;
	bpfilter_attachments--;
	bpfilter_keeper_drop_link(keeper_of(links));
	list_move_tail(&attachment->list, to);
}

static void free_attachment(struct bpfilter_attachment *attachment)
{
	lockdep_assert_held(&attach_mutex);
	if (attachment->link) {
		/* The helper may have a descriptor of it still. */
		attachment->link->ops->detach(attachment->link);
		bpf_link_put(attachment->link);
	}
	if (attachment->guard_map)
		bpf_map_put(attachment->guard_map);
	bpfilter_keeper_uncharge(attachment->keeper, attachment->bytes);
	bpfilter_keeper_put(attachment->keeper);
	kfree(attachment);
}

static void free_all(struct list_head *list)
{
	struct bpfilter_attachment *attachment, *next;

	list_for_each_entry_safe(attachment, next, list, list)
		free_attachment(attachment);
}

static void free_leaving(struct work_struct *work)
{
	LIST_HEAD(list);

	mutex_lock(&attach_mutex);
	spin_lock_bh(&bpfilter_guard_lock);
	list_splice_init(&leaving, &list);
	spin_unlock_bh(&bpfilter_guard_lock);
	free_all(&list);
	mutex_unlock(&attach_mutex);
}

static enum bpfilter_xdp_mode mode_of(const struct net_device *device, const struct bpf_link *link)
{
	/* A bpf_xdp_link, which begins with its bpf_link. */
	if ((const void *)device->xdp_state[XDP_MODE_DRV].link == link)
		return BPFILTER_XDP_NATIVE;
	if ((const void *)device->xdp_state[XDP_MODE_SKB].link == link)
		return BPFILTER_XDP_GENERIC;
	return BPFILTER_XDP_OFF;
}

static unsigned long bytes_of(const struct bpf_prog *program)
{
	return PAGE_SIZE + bpfilter_memory_of_program(program);
}

/* Who stands behind the namespace pays for the program, and for no other any more. */
static void charged(struct bpfilter_attachment *attachment, unsigned long bytes)
{
	bpfilter_keeper_uncharge(attachment->keeper, attachment->bytes);
	attachment->bytes = bytes;
}

/* The device that the link is on: by what the device says, not by a number. */
static const struct net_device *device_of(struct net *net, struct bpfilter_attachment *attachment)
{
	const struct net_device *device = __dev_get_by_index(net, attachment->index);

	attachment->mode = device ? mode_of(device, attachment->link) : BPFILTER_XDP_OFF;
	return attachment->mode == BPFILTER_XDP_OFF ? NULL : device;
}

static int enter(struct net *net, struct bpfilter_attachment *attachment)
{
	struct bpfilter_links *links = bpfilter_links_of(net);
	unsigned long bytes;
	int error;

	rtnl_lock();
	attachment->device = device_of(net, attachment);
	error = -ENODEV;
	if (!attachment->device)
		goto out;
	/* What a link runs is changed under RTNL. */
	bytes = bytes_of(attachment->link->prog);
	error = bpfilter_keeper_charge(attachment->keeper, bytes, 0);
	if (error)
		goto out;
	charged(attachment, bytes);
	spin_lock_bh(&bpfilter_guard_lock);
	if (links->count >= BPFILTER_LINKS_MAX ||
	    !bpfilter_keeper_take_link(keeper_of(links))) {
		error = -ENOSPC;
	} else {
		/* What happened to it before was remembered by nobody. */
		attachment->changed = links->generation;
		list_add_tail(&attachment->list, &links->attachments);
		links->count++;
		bpfilter_attachments++;
	}
	spin_unlock_bh(&bpfilter_guard_lock);
out:
	rtnl_unlock();
	return error;
}

static int add(struct net *net, const struct bpfilter_attach *attach)
{
	struct bpfilter_attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL);
	struct bpf_link *link;
	struct bpf_map *guard;
	int error;

	if (!attachment)
		return -ENOMEM;
	INIT_LIST_HEAD(&attachment->list);
	attachment->index = attach->index;
	attachment->keeper = bpfilter_keeper_share(keeper_of(bpfilter_links_of(net)));
	link = bpf_link_get_from_fd(attach->link_fd);
	if (IS_ERR(link)) {
		error = PTR_ERR(link);
		goto err;
	}
	/* Anything but XDP is on no device, and stays as it is. */
	if (link->type != BPF_LINK_TYPE_XDP) {
		bpf_link_put(link);
		error = -EINVAL;
		goto err;
	}
	attachment->link = link;
	guard = bpfilter_guard_get(attach->guard_fd);
	if (IS_ERR(guard)) {
		error = PTR_ERR(guard);
		goto err;
	}
	bpfilter_guard_change(attachment, guard);
	error = enter(net, attachment);
	if (error)
		goto err;
	return bpfilter_guard_set(attachment, net, attach->generation);

err:
	/* It stays what it is: the helper's. */
	if (attachment->link)
		bpf_link_put(attachment->link);
	attachment->link = NULL;
	free_attachment(attachment);
	return error;
}

static int change_program(struct bpfilter_attachment *attachment,
			  const struct bpfilter_attach *attach)
{
	struct bpf_prog *program = bpf_prog_get_type_dev(attach->prog_fd, BPF_PROG_TYPE_XDP, false);
	struct bpf_map *guard;
	unsigned long bytes;
	int error;

	if (IS_ERR(program))
		return PTR_ERR(program);
	guard = bpfilter_guard_get(attach->guard_fd);
	error = PTR_ERR_OR_ZERO(guard);
	if (error)
		goto err_program;
	bytes = bytes_of(program);
	error = bpfilter_keeper_charge(attachment->keeper, bytes, attachment->bytes);
	if (error)
		goto err_guard;
	/* Until the new program is there the old one passes everything. */
	bpfilter_guard_change(attachment, guard);
	error = attachment->link->ops->update_prog(attachment->link, program, NULL);
	if (error) {
		bpfilter_keeper_uncharge(attachment->keeper, bytes);
		goto err_program;
	}
	charged(attachment, bytes);
	return 0;

err_guard:
	if (guard)
		bpf_map_put(guard);
err_program:
	bpf_prog_put(program);
	return error == -ENOLINK ? -ENODEV : error;
}

int bpfilter_attach(struct net *net, const struct bpfilter_attach *attach)
{
	struct bpfilter_attachment *attachment;
	int error = 0;

	mutex_lock(&attach_mutex);
	attachment = find(net, attach->index);
	if (attach->link_fd != -1)
		error = attachment ? -EEXIST : add(net, attach);
	else if (!attachment)
		error = -ENODEV;
	else if (attach->prog_fd != -1)
		error = change_program(attachment, attach);
	if (!error && attach->link_fd == -1)
		error = bpfilter_guard_set(attachment, net, attach->generation);
	mutex_unlock(&attach_mutex);
	return error;
}

int bpfilter_detach(struct net *net, u32 index)
{
	struct bpfilter_attachment *attachment;
	LIST_HEAD(list);

	mutex_lock(&attach_mutex);
	attachment = find(net, index);
	if (attachment) {
		spin_lock_bh(&bpfilter_guard_lock);
		/* It may have left meanwhile: then it is freed behind us. */
		if (!attachment->leaves)
			take_out(attachment, bpfilter_links_of(net), &list);
		spin_unlock_bh(&bpfilter_guard_lock);
		free_all(&list);
	}
	mutex_unlock(&attach_mutex);
	return attachment ? 0 : -ENODEV;
}

enum bpfilter_xdp_mode bpfilter_attach_mode(const struct net_device *device)
{
	enum bpfilter_xdp_mode mode = BPFILTER_XDP_OFF;
	const struct bpfilter_attachment *attachment;

	spin_lock_bh(&bpfilter_guard_lock);
	list_for_each_entry(attachment, &bpfilter_links_of(dev_net(device))->attachments, list)
		if (attachment->device == device)
			mode = attachment->mode;
	spin_unlock_bh(&bpfilter_guard_lock);
	return mode;
}

u32 bpfilter_attach_list(struct net *net, struct bpfilter_look_link *link, u32 room)
{
	const struct bpfilter_attachment *attachment;
	u32 count = 0;

	spin_lock_bh(&bpfilter_guard_lock);
	list_for_each_entry(attachment, &bpfilter_links_of(net)->attachments, list) {
		if (count == room)
			break;
		link[count++] = (struct bpfilter_look_link){
			.index = attachment->index,
			.mode = attachment->mode,
			.unfit = bpfilter_device_unfit(attachment->device),
		};
	}
	spin_unlock_bh(&bpfilter_guard_lock);
	return count;
}

void bpfilter_attach_leave(const struct net_device *device)
{
	struct bpfilter_links *links = bpfilter_links_of(dev_net(device));
	struct bpfilter_attachment *attachment, *next;
	bool any = false;

	spin_lock_bh(&bpfilter_guard_lock);
	links->generation++;
	list_for_each_entry_safe(attachment, next, &links->attachments, list) {
		if (attachment->device != device)
			continue;
		take_out(attachment, links, &leaving);
		any = true;
	}
	spin_unlock_bh(&bpfilter_guard_lock);
	/* Not here: a link goes under RTNL, which is held. */
	if (any)
		schedule_work(&leave_work);
}

void bpfilter_attach_end(struct net *net)
{
	struct bpfilter_links *links = bpfilter_links_of(net);
	struct bpfilter_attachment *attachment, *next;
	LIST_HEAD(list);

	mutex_lock(&attach_mutex);
	spin_lock_bh(&bpfilter_guard_lock);
	list_for_each_entry_safe(attachment, next, &links->attachments, list)
		take_out(attachment, links, &list);
	spin_unlock_bh(&bpfilter_guard_lock);
	free_all(&list);
	mutex_unlock(&attach_mutex);
}

/* The links are gone with their namespaces: no notifier comes any more. */
void bpfilter_attach_exit(void)
{
	flush_work(&leave_work);
}
