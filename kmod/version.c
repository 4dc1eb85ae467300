// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/file.h>
#include <linux/filter.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "nat.h"
#include "pipe.h"
#include "version.h"

BPFILTER_IMPORT_BPF_INTERNAL;

/*
 * hook.c does not prepare what direct packet access and ctx->cb need: skb->cb is IP's
 * there. Byte 0 of a packet is always readable, so an offset of 0 does no harm.
 */
static bool can_run(const struct bpf_prog *program)
{
	return !program->cb_access && program->aux->max_pkt_offset == 0;
}

static int take_programs(struct bpfilter_version *version, const struct bpfilter_commit *commit)
{
	u32 i;

	for (i = 0; i < commit->hook_count; i++) {
		const struct bpfilter_commit_hook *hook = &commit->hook[i];
		struct bpf_prog *program;

		if (hook->hook >= BPFILTER_HOOKS_MAX ||
		    version->program[hook->hook])
			return -EINVAL;
		program = bpf_prog_get_type_dev(hook->prog_fd, BPF_PROG_TYPE_SCHED_CLS, false);
		if (IS_ERR(program))
			return PTR_ERR(program);
		version->program[hook->hook] = program;
		if (!can_run(program))
			return -EINVAL;
	}
	return 0;
}

static int take_context(struct bpfilter_version *version, s32 fd)
{
	struct bpf_map *map;

	if (fd == -1)
		return 0;
	map = bpf_map_get(fd);
	if (IS_ERR(map))
		return PTR_ERR(map);
	version->context_map = map;
	if (map->map_type != BPF_MAP_TYPE_PERCPU_ARRAY ||
	    map->value_size < sizeof(struct bpfilter_context))
		return -EINVAL;
	version->context =
		(struct bpfilter_context __percpu *)container_of(map, struct bpf_array, map)
			->pptrs[0];
	return 0;
}

static int take_kept(struct bpfilter_version *version, const struct bpfilter_commit *commit)
{
	u32 i;

	for (i = 0; i < commit->kept_count; i++) {
		struct file *file = fget(commit->kept_fd[i]);

		if (!file)
			return -EBADF;
		version->kept[version->kept_count++] = file;
		/* A pipe that holds itself would never be closed. */
		if (bpfilter_is_pipe(file))
			return -EINVAL;
	}
	return 0;
}

static int take_nat(struct bpfilter_version *version, const struct bpfilter_commit *commit)
{
	int error;
	u32 i;

	for (i = 0; i < commit->hook_count; i++) {
		if (version->nat || !(commit->hook[i].flags & BPFILTER_HOOK_NAT))
			continue;
		error = bpfilter_nat_get(version->family);
		if (error)
			return error;
		version->nat = true;
	}
	return 0;
}

struct bpfilter_version *bpfilter_version_new(const struct bpfilter_commit *commit, u8 family)
{
	struct bpfilter_version *version = kzalloc(sizeof(*version), GFP_KERNEL);
	int error;

	if (!version)
		return ERR_PTR(-ENOMEM);
	refcount_set(&version->refs, 1);
	version->pin = commit->flags & BPFILTER_COMMIT_PIN;
	version->watch = commit->flags & BPFILTER_COMMIT_WATCH;
	version->family = family;

	error = take_programs(version, commit);
	if (!error)
		error = take_context(version, commit->context_fd);
	if (!error)
		error = take_kept(version, commit);
	if (!error)
		error = take_nat(version, commit);
	if (error) {
		bpfilter_version_put(version);
		return ERR_PTR(error);
	}
	return version;
}

struct bpfilter_version *bpfilter_version_get(struct bpfilter_version *version)
{
	refcount_inc(&version->refs);
	return version;
}

void bpfilter_version_put(struct bpfilter_version *version)
{
	u32 i;

	if (!version || !refcount_dec_and_test(&version->refs))
		return;
	for (i = 0; i < BPFILTER_HOOKS_MAX; i++)
		if (version->program[i])
			bpf_prog_put(version->program[i]);
	if (version->context_map)
		bpf_map_put(version->context_map);
	for (i = 0; i < version->kept_count; i++)
		fput(version->kept[i]);
	if (version->nat)
		bpfilter_nat_put(version->family);
	kvfree(version->payload);
	kfree(version);
}
