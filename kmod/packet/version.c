// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/file.h>
#include <linux/filter.h>
#include <linux/kallsyms.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "base/compat.h"
#include "base/keep.h"
#include "base/stake.h"
#include "packet/instance.h"
#include "packet/nat.h"
#include "packet/quirk.h"
#include "packet/version.h"

BPFILTER_IMPORT_BPF_INTERNAL;

/*
 * What a program may call, by the names of the functions that the verifier put in the place of
 * the helpers' numbers. These look at the packet and at maps, and change neither the packet's
 * layout nor anything else of the kernel: at a netfilter hook it is not prepared for that.
 */
static const char *const may_be_called[] = {
	"bpf_skb_load_bytes",	       "bpf_skb_load_bytes_relative", "bpf_loop",
	"bpf_map_lookup_elem",	       "array_map_lookup_elem",
	"percpu_array_map_lookup_elem",
};

static noinline bool may_call(unsigned long function)
{
	char symbol[KSYM_SYMBOL_LEN];
	size_t i, length;

	sprint_symbol(symbol, function);
	for (i = 0; i < ARRAY_SIZE(may_be_called); i++) {
		length = str_has_prefix(symbol, may_be_called[i]);
		if (length && str_has_prefix(symbol + length, "+0x0/"))
			return true;
	}
	return false;
}

/* Of the whole program: that of its subprograms is in there too. */
static bool is_calling_well(const struct bpf_prog *program)
{
	const struct bpf_insn *insn = program->insnsi, *end = insn + program->len;
	unsigned long known = 0;

	for (; insn < end; insn++) {
		const unsigned long function = (unsigned long)__bpf_call_base + insn->imm;

		if (insn->code == (BPF_JMP | BPF_TAIL_CALL))
			return false;
		if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg == BPF_PSEUDO_CALL)
			continue;
		if (insn->src_reg || (function != known && !may_call(function)))
			return false;
		known = function;
		cond_resched();
	}
	return true;
}

/*
 * The helper that made it is not trusted, and the verifier thinks of a classifier. Behind ctx->cb
 * come the fields that lie in skb->cb, which is IP's here (tc_classid, data_meta, and what direct
 * access to the packet needs), and those that lead to sockets.
 */
static bool can_run(const struct bpfilter_version *version, const struct bpf_prog *program)
{
	u32 end = offsetof(struct __sk_buff, cb);

	if (version->element_size)
		end = offsetofend(struct __sk_buff, cb[0]);
	return program->aux->max_ctx_offset <= end && is_calling_well(program);
}

/*
 * What was looked at is what runs: no program of another type takes the place of a function of
 * it (freplace). Those that can be called from others are kept so, and this counts as one.
 */
static bool fix(struct bpf_prog *program)
{
	bool extended;

	mutex_lock(&program->aux->ext_mutex);
	extended = program->aux->is_extended;
	if (!extended)
		program->aux->prog_array_member_cnt++;
	mutex_unlock(&program->aux->ext_mutex);
	return !extended;
}

static void put_fixed(struct bpf_prog *program)
{
	mutex_lock(&program->aux->ext_mutex);
	program->aux->prog_array_member_cnt--;
	mutex_unlock(&program->aux->ext_mutex);
	bpf_prog_put(program);
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
		if (!fix(program)) {
			bpf_prog_put(program);
			return -EINVAL;
		}
		version->program[hook->hook] = program;
		if (!can_run(version, program))
			return -EINVAL;
	}
	return 0;
}

/* They are the same for every packet. A table in force may have this memory, too. */
static void tell_quirks(struct bpfilter_context *context)
{
	WRITE_ONCE(context->quirks, bpfilter_quirks);
}

/*
 * So many for each CPU, one behind the other. Not of a kind that the verifier may have taken for
 * constant: what it has shown would not be so once we write there.
 */
static int take_elements(struct bpfilter_version *version, struct bpf_map *map)
{
	const u32 count = BPFILTER_NESTING * nr_cpu_ids;
	u32 i;

	if (map->map_type != BPF_MAP_TYPE_ARRAY || map->btf || map->max_entries != 1 ||
	    map->map_flags & BPF_F_RDONLY_PROG ||
	    version->element_size < sizeof(struct bpfilter_context) || version->element_size % 8 ||
	    (u64)version->element_size * count > map->value_size)
		return -EINVAL;
	version->elements = container_of(map, struct bpf_array, map)->value;
	for (i = 0; i < count; i++)
		tell_quirks(bpfilter_version_element(version, i));
	return 0;
}

/* Types would say where pointers and locks of the kernel's lie, to be written over. */
static int take_percpu(struct bpfilter_version *version, struct bpf_map *map)
{
	int cpu;

	if (map->map_type != BPF_MAP_TYPE_PERCPU_ARRAY || map->btf ||
	    map->value_size < (version->connection ? sizeof(struct bpfilter_context) :
						     offsetof(struct bpfilter_context, root)))
		return -EINVAL;
	version->context =
		(struct bpfilter_context __percpu *)container_of(map, struct bpf_array, map)
			->pptrs[0];
	for_each_possible_cpu(cpu)
		tell_quirks(per_cpu_ptr(version->context, cpu));
	return 0;
}

static int take_context(struct bpfilter_version *version, s32 fd)
{
	struct bpf_map *map;

	if (fd == -1)
		return version->element_size ? -EINVAL : 0;
	map = bpf_map_get(fd);
	if (IS_ERR(map))
		return PTR_ERR(map);
	version->context_map = map;
	version->looks = version->devices || version->link || version->connection;
	return version->element_size ? take_elements(version, map) : take_percpu(version, map);
}

/* Of other files some can hold the pipe, and would be held by it. */
static bool is_array(struct file *file, s32 fd)
{
	struct bpf_map *map = bpf_map_get(fd);
	bool good;

	if (IS_ERR(map))
		return false;
	/* Another thread may have put another file there meanwhile. */
	good = file->private_data == map && (map->map_type == BPF_MAP_TYPE_ARRAY ||
					     map->map_type == BPF_MAP_TYPE_PERCPU_ARRAY);
	bpf_map_put(map);
	return good;
}

static int take_kept(struct bpfilter_version *version, const struct bpfilter_commit *commit)
{
	u32 i;

	for (i = 0; i < commit->kept_count; i++) {
		struct file *file = fget(commit->kept_fd[i]);

		if (!file)
			return -EBADF;
		version->kept[version->kept_count++] = file;
		if (!is_array(file, commit->kept_fd[i]))
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

/* What a line of text takes: where it stands in the program, and in BTF. */
#define LINE 128

static unsigned long memory_of_one(const struct bpf_prog *program)
{
	return (unsigned long)program->pages * PAGE_SIZE + program->jited_len;
}

/* As compiled, as bpftool shows it, and as loaded; subprograms are programs of their own. */
unsigned long bpfilter_memory_of_program(const struct bpf_prog *program)
{
	const struct bpf_prog_aux *aux = program->aux;
	unsigned long bytes = memory_of_one(program) + (unsigned long)aux->nr_linfo * LINE;
	u32 i;

	for (i = 0; i < aux->func_cnt; i++)
		bytes += memory_of_one(aux->func[i]);
	return bytes;
}

/* Its file, its number, its area of addresses, and what of it is none of its elements. */
#define MAP 1024
/* What the allocator notes of each four bytes of what it gives for each CPU: whose they are. */
#define PERCPU_UNIT 4

/* As bpf_map_area_alloc() has it: small ones from a slab, others as pages. */
static unsigned long memory_of_area(unsigned long bytes)
{
	return bytes <= PAGE_SIZE << PAGE_ALLOC_COSTLY_ORDER ? roundup_pow_of_two(bytes) :
							       PAGE_ALIGN(bytes);
}

/* As array_map_alloc() makes it. One that can be mapped begins on a page of its own. */
static unsigned long memory_of_map(const struct bpf_map *map)
{
	const unsigned long size = round_up(map->value_size, 8), count = map->max_entries;
	const unsigned long noted = size / PERCPU_UNIT * sizeof(void *);

	if (map->map_type == BPF_MAP_TYPE_PERCPU_ARRAY)
		return MAP + memory_of_area(sizeof(struct bpf_array) + count * sizeof(void *)) +
		       count * (num_possible_cpus() * size + noted);
	if (map->map_flags & BPF_F_MMAPABLE)
		return MAP + PAGE_ALIGN(sizeof(struct bpf_array)) + PAGE_ALIGN(count * size);
	return MAP + memory_of_area(sizeof(struct bpf_array) + count * size);
}

static unsigned long memory_of(const struct bpfilter_version *version)
{
	unsigned long bytes = version->context_map ? memory_of_map(version->context_map) : 0;
	u32 i;

	for (i = 0; i < BPFILTER_HOOKS_MAX; i++)
		if (version->program[i])
			bytes += bpfilter_memory_of_program(version->program[i]);
	for (i = 0; i < version->kept_count; i++)
		bytes += memory_of_map(version->kept[i]->private_data);
	return bytes;
}

/* What many tables share is on nobody's account: of the first that is kept counts its part. */
static unsigned long memory_of_records(struct bpfilter_version *version, u32 share)
{
	unsigned long bytes;
	u32 i;

	if (!version->kept_count)
		return 0;
	version->share = min_t(unsigned long, memory_of_map(version->kept[0]->private_data), share);
	bytes = version->share;
	for (i = 1; i < version->kept_count; i++)
		bytes += memory_of_map(version->kept[i]->private_data);
	return bytes;
}

/* What the helper that made it has once for all such tables, and who has only this of it. */
static unsigned long memory_of_helper(const struct bpfilter_version *version)
{
	unsigned long bytes = memory_of_map(version->kept[0]->private_data) +
			      memory_of_map(version->context_map);
	u32 i, j;

	for (i = 0; i < BPFILTER_HOOKS_MAX; i++) {
		for (j = 0; j < i && version->program[j] != version->program[i]; j++)
			;
		if (j == i && version->program[i])
			bytes += bpfilter_memory_of_program(version->program[i]);
	}
	return bytes;
}

/* In an arena, of which he may be the last one to have a table there. */
static int take_stake(struct bpfilter_version *version, struct bpfilter_keeper *keeper)
{
	if (!keeper || !version->element_size || !version->kept_count)
		return 0;
	version->stake = bpfilter_stake_take(keeper, version->kept[0]->private_data,
					     memory_of_helper(version), version->share);
	return version->stake ? 0 : -ENOMEM;
}

unsigned long bpfilter_version_account(const struct bpfilter_version *version)
{
	return version ? version->charge.bytes + bpfilter_stake_rest(version->stake) : 0;
}

int bpfilter_version_charge(struct bpfilter_version *version, struct bpfilter_keeper *keeper,
			    unsigned long more, const struct bpfilter_version *old)
{
	const unsigned long bytes = version->charge.bytes + more;
	int error = bpfilter_keeper_charge(keeper, bytes, bpfilter_version_account(old));

	if (error)
		return error;
	error = take_stake(version, keeper);
	if (error) {
		bpfilter_keeper_uncharge(keeper, bytes);
		return error;
	}
	version->charge.bytes = bytes;
	version->charge.keeper = bpfilter_keeper_share(keeper);
	return 0;
}

struct bpfilter_version *bpfilter_version_new(const struct bpfilter_commit_records *records,
					      u8 family)
{
	struct bpfilter_version *version = kzalloc(sizeof(*version), GFP_KERNEL);
	const struct bpfilter_commit *commit = &records->commit;
	int error;

	if (!version)
		return ERR_PTR(-ENOMEM);
	refcount_set(&version->refs, 1);
	strscpy(version->table, commit->table, sizeof(version->table));
	version->pin = commit->flags & BPFILTER_COMMIT_PIN;
	version->watch = commit->flags & BPFILTER_COMMIT_WATCH;
	version->devices = !(commit->flags & BPFILTER_COMMIT_NO_DEVICES);
	version->link = !(commit->flags & BPFILTER_COMMIT_NO_LINK);
	version->connection = commit->flags & BPFILTER_COMMIT_CONNECTION;
	version->family = family;
	version->element_size = records->element_size;
	memcpy(version->root, records->root, sizeof(version->root));

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
	version->charge.bytes = version->element_size ?
					memory_of_records(version, records->bytes) :
					memory_of(version);
	return version;
}

bool bpfilter_version_pin(const struct bpfilter_version *old, const struct bpfilter_version *new)
{
	return !new->pin || (old && old->pin) || try_module_get(THIS_MODULE);
}

void bpfilter_version_unpin(const struct bpfilter_version *old,
			    const struct bpfilter_version *new)
{
	if (old && old->pin && !(new && new->pin))
		module_put(THIS_MODULE);
}

struct bpfilter_version *bpfilter_version_get(struct bpfilter_version *version)
{
	refcount_inc(&version->refs);
	return version;
}

void bpfilter_version_end(struct bpfilter_version *version)
{
	bpfilter_instances_destroy(version->instances);
	version->instances = NULL;
}

void bpfilter_version_put(struct bpfilter_version *version)
{
	u32 i;

	if (!version || !refcount_dec_and_test(&version->refs))
		return;
	/* While the arena is still this one. */
	version->charge.bytes += bpfilter_stake_leave(version->stake, version->share);
	for (i = 0; i < BPFILTER_HOOKS_MAX; i++)
		if (version->program[i])
			put_fixed(version->program[i]);
	if (version->context_map)
		bpf_map_put(version->context_map);
	for (i = 0; i < version->kept_count; i++)
		fput(version->kept[i]);
	if (version->nat)
		bpfilter_nat_put(version->family);
	/* Who kills those that brought them has no more of them for it. */
	bpfilter_instances_leave(version->instances, &version->charge);
	kvfree(version->payload);
	kfree(version);
}
