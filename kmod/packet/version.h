/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A version of a table: what one COMMIT put in force. Never changed after that, but for
 * the payload, which arrives at the moment of the COMMIT.
 */
#ifndef KMOD_PACKET_VERSION_H
#define KMOD_PACKET_VERSION_H

#include <linux/refcount.h>
#include <linux/types.h>

#include <bpfilter/context.h>
#include <bpfilter/pipe.h>

#include "base/keep.h"

struct bpf_map;
struct bpf_prog;
struct bpfilter_instances;
struct bpfilter_stake;
struct file;

struct bpfilter_version {
	refcount_t refs;
	char table[BPFILTER_TABLE_NAME_LEN];
	struct bpfilter_charge charge; /* for its programs, maps, payload and instances */
	struct bpfilter_stake *stake; /* in the arena that it is in, or NULL */
	unsigned long share; /* of that arena, for which it is charged */
	struct bpf_prog *program[BPFILTER_HOOKS_MAX]; /* by hook number */
	struct bpf_map *context_map; /* or NULL */
	struct bpfilter_context __percpu *context; /* element 0 of it */
	/* Or, of programs that walk records: */
	void *elements; /* the one element of it, BPFILTER_NESTING contexts for each CPU */
	u32 element_size; /* 0: they do not */
	u32 root[BPFILTER_HOOKS_MAX];
	struct bpfilter_instances *instances; /* or NULL; until it is out of force */
	u32 kept_count;
	struct file *kept[BPFILTER_KEPT_MAX];
	bool pin;
	bool watch;
	bool devices; /* the programs look at the names in the context */
	bool link; /* and at that */
	bool connection; /* and at that */
	bool looks; /* at any of these */
	bool nat; /* holds the nat core of `family` */
	u8 family;

	/* For REPLAY: the REPLACE that brought it. Nothing for first contents. */
	void *payload; /* kvmalloc'ed */
	u32 payload_length;
	u16 request_flags; /* BPFILTER_REQUEST_CHECKED */
	unsigned int deaths; /* helpers that died of its replay */
};

static inline struct bpfilter_context *
bpfilter_version_element(const struct bpfilter_version *version, u32 element)
{
	return version->elements + (size_t)element * version->element_size;
}

unsigned long bpfilter_memory_of_program(const struct bpf_prog *program);

/* In the helper's context: its descriptors are resolved. May return ERR_PTR(). */
struct bpfilter_version *bpfilter_version_new(const struct bpfilter_commit_records *records,
					      u8 family);
/*
 * Who answers for its memory, and for `more`: as much as its payload takes of the helper's, and
 * its instances. The version `old` is what it comes instead of, or NULL.
 */
int bpfilter_version_charge(struct bpfilter_version *version, struct bpfilter_keeper *keeper,
			    unsigned long more, const struct bpfilter_version *old);
/*
 * A table with rules holds the module, once, as it holds that of ip_tables: `new` comes in the
 * place of `old`, before and behind that; each may be NULL. False: the module is going.
 */
bool bpfilter_version_pin(const struct bpfilter_version *old, const struct bpfilter_version *new);
void bpfilter_version_unpin(const struct bpfilter_version *old,
			    const struct bpfilter_version *new);
/* What goes from the account with it, if nothing takes its place. */
unsigned long bpfilter_version_account(const struct bpfilter_version *version);
struct bpfilter_version *bpfilter_version_get(struct bpfilter_version *version);
/* A grace period behind the moment it went out of force, its instances go. Sleeps. */
void bpfilter_version_end(struct bpfilter_version *version);
/* The last one needs a grace period behind the moment it went out of force. Sleeps. */
void bpfilter_version_put(struct bpfilter_version *version);

#endif /* KMOD_PACKET_VERSION_H */
