// SPDX-License-Identifier: GPL-2.0
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/limits.h>

#include "stap/program.h"
#include "stap/stap.h"
#include "stap/view.h"

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

static bool only_looks(const struct bpf_prog *program)
{
	return !program || program->type == BPF_PROG_TYPE_SOCKET_FILTER;
}

void stap_program_install(struct stap_direction *direction, struct bpf_prog *parse,
			  struct bpf_prog *verdict)
{
	direction->parse = parse;
	direction->verdict = verdict;
	direction->only_looks = only_looks(parse) && only_looks(verdict);
}

void stap_program_forget(struct stap_direction *direction)
{
	direction->need = 0;
	direction->done = 0;
}

/* Of a view, as programs see it; see the manual. */
static u32 *first_cb(const struct stap_view *view)
{
	return (u32 *)bpf_skb_cb(view->skb);
}

/* Bottom halves are off: no RCU callback runs, and nobody takes this CPU's view away. */
static __always_inline int run(const struct bpf_prog *program, struct stap_view *view, u32 done)
{
	if (unlikely(program->cb_access)) {
		memset(bpf_skb_cb(view->skb), 0, BPF_SKB_CB_LEN);
		*first_cb(view) = done;
	}
	return bpf_prog_run(program, view->skb);
}

/*
 * Beyond those that applications know are the kernel's own, one of which is a BUG() in VFS. And
 * who would call again for an error finds an end that looks like that of a whole stream.
 */
static int checked_length(int answer)
{
	if (answer == -EINTR || answer == -EAGAIN)
		return -EPROTO;
	if (answer < 0)
		return answer >= -EHWPOISON ? answer : -EPROTO;
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

/* No verdict of a program that anybody would mean. */
#define NOT_JUDGED INT_MIN

/* Most parsers need no more to see. */
#define FIRST_LOOK 256

/*
 * The parser, of `size` bytes of which it is done with the first. It may be done with more
 * afterwards. And the verdict too if it has the message, and nothing else, before it.
 */
static struct stap_finding look(const struct stap_source *source, u32 offset, u32 size)
{
	struct stap_direction *direction = source->direction;
	struct stap_view *view = stap_view_begin(source->sk, direction->only_looks);
	const u32 done = direction->done;
	int length = source->fill(source, view, offset + done, size - done);
	int verdict = NOT_JUDGED;

	if (!length)
		length = checked_length(run(direction->parse, view, done));
	if (!length && direction->parse->cb_access)
		direction->done = min(*first_cb(view), size);
	if (length == size && !done && direction->verdict && direction->only_looks)
		verdict = run(direction->verdict, view, 0);
	stap_view_end(view);
	return (struct stap_finding){ .length = length, .verdict = verdict };
}

/*
 * Messages tend to be as long as the one before: if one that is may be all there, one look is
 * enough for both programs. A parser that wants more than there is to see at first gets all.
 */
static struct stap_finding parse(const struct stap_source *source, u32 offset, u32 size)
{
	const struct stap_direction *direction = source->direction;
	const u32 usual = direction->usual;
	const u32 first = direction->done ? size :
			  usual > FIRST_LOOK && usual <= size ? usual : min(size, FIRST_LOOK);
	struct stap_finding found = { .verdict = NOT_JUDGED };

	if (direction->done && direction->done >= size)
		return found; /* it wants to see more, and there is nothing else */
	found = look(source, offset, first);
	if (found.length || size == first)
		return found;
	return look(source, offset, size);
}

static int judge(const struct stap_source *source, u32 offset, u32 size)
{
	const struct stap_direction *direction = source->direction;
	struct stap_view *view;
	int verdict = STAP_DISCONNECT; /* if there is no memory to look at it */

	if (!direction->verdict)
		return STAP_OK;
	view = stap_view_begin(source->sk, direction->only_looks);
	if (!source->fill(source, view, offset, size))
		verdict = run(direction->verdict, view, 0);
	stap_view_end(view);
	return verdict;
}

struct stap_finding stap_examine(const struct stap_source *source, u32 offset, u32 size)
{
	struct stap_direction *direction = source->direction;
	struct stap_finding found = { .length = direction->need, .verdict = NOT_JUDGED };

	if (!found.length && direction->parse)
		found = parse(source, offset, size);
	else if (!found.length)
		found.length = size;
	direction->need = max(found.length, 0);
	if (found.length)
		direction->done = 0;
	if (found.length <= 0 || found.length > size)
		return found;
	if (found.verdict == NOT_JUDGED)
		found.verdict = judge(source, offset, found.length);
	found.verdict = counted_verdict(direction, found.verdict, found.length);
	direction->need = 0;
	direction->usual = found.length;
	return found;
}
