/* SPDX-License-Identifier: GPL-2.0 */
/* What attach.c and guard.c share, and nobody else. */
#ifndef KMOD_XDP_ATTACH_STATE_H
#define KMOD_XDP_ATTACH_STATE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include <bpfilter/xdp.h>

#include "base/netns.h"

struct bpf_link;
struct bpf_map;
struct bpfilter_keeper;
struct net_device;

struct bpfilter_attachment {
	struct list_head list; /* of its namespace, or of those that leave */
	const struct net_device *device; /* it is there as long as we are in its namespace */
	u32 index;
	enum bpfilter_xdp_mode mode;
	bool leaves;
	u64 changed; /* generation of the last event that concerned this device, as far as known */
	unsigned long bytes; /* that its program takes */
	struct bpfilter_keeper *keeper; /* who has it on his account, or NULL */
	struct bpf_link *link;
	struct bpf_map *guard_map; /* or NULL */
	u64 *guard; /* its only element */
};

/* The lists, and who writes guards. Notifiers come by in any context. */
extern spinlock_t bpfilter_guard_lock;
/* In lists of namespaces. */
extern unsigned int bpfilter_attachments;

static inline struct bpfilter_links *bpfilter_links_of(const struct net *net)
{
	return &bpfilter_net(net)->links;
}

/* Under the lock. */
void bpfilter_guard_clear(struct bpfilter_attachment *attachment);
/* -EAGAIN: not now. */
int bpfilter_guard_set(struct bpfilter_attachment *attachment, struct net *net, u64 generation);
/* A reference; NULL for -1. */
struct bpf_map *bpfilter_guard_get(s32 fd);
/* It is clear from now on. Takes over the reference to the map, or NULL. */
void bpfilter_guard_change(struct bpfilter_attachment *attachment, struct bpf_map *map);

#endif /* KMOD_XDP_ATTACH_STATE_H */
