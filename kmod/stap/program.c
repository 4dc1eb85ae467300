// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/limits.h>

#include "program.h"
#include "stap.h"
#include "view.h"

struct bpf_prog *stap_program_get(int fd)
{
	struct bpf_prog *program;

	if (fd == -1)
		return NULL;
	program = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_SOCKET_FILTER, false);
	if (PTR_ERR_OR_ZERO(program) == -EINVAL)
		program = bpf_prog_get_type_dev(fd, BPF_PROG_TYPE_SK_SKB, false);
	return program;
}

struct bpf_prog *stap_program_ref(struct bpf_prog *program)
{
	if (program)
		bpf_prog_inc(program);
	return program;
}

void stap_program_put(struct bpf_prog *program)
{
	if (program)
		bpf_prog_put(program);
}

/* Bottom halves are off: no RCU callback runs, and nobody takes this CPU's view away. */
static int run(const struct bpf_prog *program, struct sk_buff *view)
{
	return __bpf_prog_run_save_cb(program, view);
}

static int checked_length(int answer)
{
	if (answer < 0)
		return answer >= -MAX_ERRNO ? answer : -EPROTO;
	return answer > stap_max_message ? -EMSGSIZE : answer;
}

static int counted_verdict(struct stap_direction *direction, int verdict, u32 size)
{
	switch (verdict) {
	case STAP_OK:
		direction->messages++;
		direction->bytes += size;
		return STAP_OK;
	case STAP_DROP:
		direction->dropped++;
		return STAP_DROP;
	default:
		return STAP_DISCONNECT;
	}
}

/* Programs of this type leave a view as it was, so that the next may use it. */
static bool only_looks(const struct bpf_prog *program)
{
	return program->type == BPF_PROG_TYPE_SOCKET_FILTER;
}

/* Most parsers need no more to see. */
#define FIRST_LOOK 256

/* The parser, and the verdict too if the message is just what there is. */
static int look(const struct stap_source *source, u32 offset, u32 size, int *verdict)
{
	const struct stap_direction *direction = source->direction;
	struct stap_view *view = stap_view_begin(source->sk);
	int length = source->fill(source->source, view, offset, size);

	if (!length)
		length = checked_length(run(direction->parse, view->skb));
	if (length == size && direction->verdict && only_looks(direction->parse))
		*verdict = run(direction->verdict, view->skb);
	stap_view_end(view);
	return length;
}

/* A parser that wants more than the beginning gets all. */
static int parse(const struct stap_source *source, u32 offset, u32 size, int *verdict)
{
	int length = look(source, offset, min(size, FIRST_LOOK), verdict);

	if (length || size <= FIRST_LOOK)
		return length;
	return look(source, offset, size, verdict);
}

static int judge(const struct stap_source *source, u32 offset, u32 size)
{
	struct stap_view *view = stap_view_begin(source->sk);
	int verdict = STAP_DISCONNECT; /* if there is no memory to look at it */

	if (!source->fill(source->source, view, offset, size))
		verdict = run(source->direction->verdict, view->skb);
	stap_view_end(view);
	return verdict;
}

struct stap_finding stap_examine(const struct stap_source *source, u32 offset, u32 size)
{
	struct stap_direction *direction = source->direction;
	struct stap_finding found = { .length = direction->need ?: size };
	const int none = INT_MIN;
	int verdict = none;

	if (!direction->need && direction->parse)
		found.length = parse(source, offset, size, &verdict);
	direction->need = max(found.length, 0);
	if (found.length <= 0 || found.length > size)
		return found;
	if (!direction->verdict)
		verdict = STAP_OK;
	else if (verdict == none)
		verdict = judge(source, offset, found.length);
	found.verdict = counted_verdict(direction, verdict, found.length);
	direction->need = 0;
	return found;
}
