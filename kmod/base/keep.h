/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keep: what a user's tables in force take of memory that is on no account of his: programs
 * and maps, which the helper made, and what the helper remembers. Each user may have so much.
 *
 * A user is who stands behind network namespaces, as for turns: every user namespace that the
 * machine's root made, every other user with all that he made of them. The machine's own user
 * namespace may keep what it likes.
 */
#ifndef KMOD_BASE_KEEP_H
#define KMOD_BASE_KEEP_H

#include <linux/types.h>

struct bpfilter_keeper;
struct net;
struct user_namespace;

/* A number for who stands behind it: 0 for the machine's own, another for each other. */
unsigned long bpfilter_user_key(const struct user_namespace *user);

/* Whoever stands behind this namespace, referenced; NULL: the machine's own. ERR_PTR(-ENOMEM). */
struct bpfilter_keeper *bpfilter_keeper_get(const struct net *net);
/* Another reference to it, or NULL. */
struct bpfilter_keeper *bpfilter_keeper_share(struct bpfilter_keeper *keeper);
void bpfilter_keeper_put(struct bpfilter_keeper *keeper);

/* What he has to answer for, as long as it is there. */
struct bpfilter_charge {
	struct bpfilter_keeper *keeper; /* a reference, or NULL */
	unsigned long bytes;
	bool retired; /* it is of a table, and out of force */
};

/* So many bytes more, in the place of `instead`, which go later. -ENOMEM: he has too much then. */
int bpfilter_keeper_charge(struct bpfilter_keeper *keeper, unsigned long bytes,
			   unsigned long instead);
/* It is out of force from now on, and charged as long as it is there. */
void bpfilter_charge_retire(struct bpfilter_charge *charge);
/* It is gone. */
void bpfilter_charge_end(const struct bpfilter_charge *charge);
/* The same, but only asked for. */
int bpfilter_keeper_room(const struct bpfilter_keeper *keeper, unsigned long bytes,
			 unsigned long instead);
/* He has them, whatever he may have. */
void bpfilter_keeper_add(struct bpfilter_keeper *keeper, unsigned long bytes);
/* One more link at XDP, of which a user may have so many in all his namespaces. */
bool bpfilter_keeper_take_link(struct bpfilter_keeper *keeper);
void bpfilter_keeper_drop_link(struct bpfilter_keeper *keeper);
void bpfilter_keeper_uncharge(struct bpfilter_keeper *keeper, unsigned long bytes);

#endif /* KMOD_BASE_KEEP_H */
