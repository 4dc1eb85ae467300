// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <linux/uio.h>
#include <net/tcp.h>

#include "stap/buffer.h"
#include "stap/end.h"
#include "stap/give.h"
#include "stap/program.h"
#include "stap/stap.h"
#include "stap/stretch.h"
#include "stap/view.h"

/* What is judged at a time. */
struct stretch {
	struct stap_source source;
	struct stap *tap;
	const u8 *data; /* NULL: pending */
	u32 size;
	u32 done; /* sent, or dropped; no longer pending */
	u32 passed; /* may be sent */
	int flags; /* of the last byte */
	const struct msghdr *control;
};

static int fill(const struct stap_source *source, struct stap_view *view, u32 offset, u32 size)
{
	const struct stretch *stretch = container_of(source, struct stretch, source);

	if (!stretch->data)
		return stap_buffer_view(&stretch->tap->pending, view, offset - stretch->done, size);
	memcpy(stap_view_put(view, size), stretch->data + offset, size);
	return 0;
}

static struct stap_source source_of(struct stap *tap)
{
	return (struct stap_source){ .sk = tap->sk, .direction = &tap->send, .fill = fill };
}

/* What is asked with the last byte. */
static const struct msghdr *control_of(const struct stretch *stretch, u32 size)
{
	static const struct msghdr nothing;

	return stretch->done + size == stretch->size ? stretch->control : &nothing;
}

static int push_short(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	struct kvec data = { .iov_base = (u8 *)stretch->data + stretch->done, .iov_len = size };
	const struct msghdr *control = control_of(stretch, size);
	struct msghdr message = {
		.msg_flags = flags,
		.msg_control = control->msg_control,
		.msg_controllen = control->msg_controllen,
	};

	iov_iter_kvec(&message.msg_iter, ITER_SOURCE, &data, 1, size);
	return tcp_sendmsg_locked(sk, &message, size);
}

static int push_pending(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	const struct stap_buffer *pending = &stretch->tap->pending;

	return stap_give(sk, pending->piece + pending->first, pending->count - pending->first,
			 size, flags, control_of(stretch, size));
}

/* The rest, if there is one, will have to wait. */
static bool leaves_no_room(const struct sock *sk, u32 size)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return sk->sk_wmem_queued + (s64)size >= sk->sk_sndbuf ||
	       tp->write_seq - tp->snd_nxt + (u64)size >= tcp_notsent_lowat(tp);
}

/*
 * TCP takes as much as it has room for; with this as much as there is. The charge of what is
 * pending goes with it. What it would hold back it sends if there is no room, as it does when
 * it has to wait for some itself.
 */
static int push_now(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	const u32 low_water = tcp_sk(sk)->notsent_lowat;
	const u8 nagle = tcp_sk(sk)->nonagle;
	const int limit = sk->sk_sndbuf;
	bool at_once = false;
	int result;

	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	if (nagle & TCP_NAGLE_CORK || flags & MSG_MORE)
		at_once = leaves_no_room(sk, size);
	if (at_once) {
		tcp_sk(sk)->nonagle = TCP_NAGLE_OFF;
		flags &= ~MSG_MORE;
	}
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, U32_MAX);
	if (stretch->data) {
		result = push_short(sk, stretch, size, flags);
	} else {
		sk_forward_alloc_add(sk, size);
		result = push_pending(sk, stretch, size, flags);
		sk_forward_alloc_add(sk, max(result, 0) - (int)size);
	}
	if (at_once) /* it was for what was queued before */
		tcp_sk(sk)->nonagle = nagle & ~TCP_NAGLE_PUSH;
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, low_water);
	/* Short of memory it makes that smaller. */
	WRITE_ONCE(sk->sk_sndbuf, min(sk->sk_sndbuf, limit));
	return result;
}

static void finish(struct stretch *stretch, u32 size)
{
	stretch->tap->urgent -= min(stretch->tap->urgent, size);
	stretch->done += size;
}

/* These bytes are TCP's. */
static void given(struct stretch *stretch, u32 size)
{
	if (!stretch->data)
		stap_buffer_skip(&stretch->tap->pending, size);
	stretch->passed -= size;
	finish(stretch, size);
}

/* These are nobody's. */
static void dropped(struct stretch *stretch, u32 size)
{
	if (!stretch->data)
		stap_buffer_drop(stretch->tap->sk, &stretch->tap->pending, size);
	finish(stretch, size);
}

static int disconnect(struct stap *tap, int error)
{
	stap_fail(tap, error);
	return -error;
}

/* TCP has told us, and forgotten it; who is to be told is whoever sends next, if not this one. */
static int broken(struct sock *sk, int error)
{
	if (error != -EPIPE)
		WRITE_ONCE(sk->sk_err, -error);
	return -EPIPE;
}

/*
 * What has passed, to TCP, at once: what has been judged can neither wait, for the next sender
 * may be here before, nor be refused. Its memory is charged already, which TCP asks for besides
 * is charged by force; only if there is none at all for an skb the connection ends.
 */
static int push(struct stretch *stretch)
{
	/* Without MSG_MORE if more is there: it may never go, and nothing else would push. */
	const int flags = stretch->done + stretch->passed == stretch->size ? stretch->flags : 0;
	struct stap *tap = stretch->tap;
	struct sock *sk = tap->sk;
	bool last_time = false;

	while (stretch->passed) {
		const bool marked = tap->urgent && tap->urgent <= stretch->passed;
		const int result = marked ? push_now(sk, stretch, tap->urgent, MSG_OOB) :
					    push_now(sk, stretch, stretch->passed, flags);

		if (result == -EIO)
			return disconnect(tap, EIO);
		if (result < 0 && result != -EAGAIN)
			return broken(sk, result);
		if (result > 0)
			given(stretch, result);
		else if (last_time)
			return disconnect(tap, ENOBUFS);
		last_time = result <= 0;
		if (stretch->passed) /* an skb, and what is to be in it if nobody was charged yet */
			stap_reserve(sk, PAGE_SIZE + (stretch->data ? stretch->passed : 0));
	}
	return 0;
}

/* All whole messages. Those that pass one after the other go together. */
static int judge(struct stretch *stretch)
{
	struct stap *tap = stretch->tap;

	for (;;) {
		const u32 at = stretch->done + stretch->passed, there = stretch->size - at;
		struct stap_finding found;
		int error;

		if (!there)
			return 0;
		cond_resched(); /* a message may be of one byte */
		found = stap_examine(&stretch->source, at, there);
		if (found.length < 0)
			return disconnect(tap, -found.length);
		if (!found.length || found.length > there)
			return 0;
		if (found.verdict == STAP_OK) {
			stretch->passed += found.length;
			continue;
		}
		if (found.verdict != STAP_DROP)
			return disconnect(tap, ECONNABORTED);
		error = push(stretch);
		if (error)
			return error;
		dropped(stretch, found.length);
	}
}

static int settle(struct stretch *stretch)
{
	int error = judge(stretch);
	/* What came before a disconnection has passed. */
	int pushed = push(stretch);

	return error ?: pushed;
}

int stap_settle(struct stap *tap, const u8 *data, u32 size, int flags,
		const struct msghdr *control, u32 *done)
{
	struct stretch stretch = {
		.source = source_of(tap), .tap = tap, .data = data, .size = size, .flags = flags,
		.control = control,
	};
	int error = settle(&stretch);

	*done = stretch.done;
	return error;
}

int stap_settle_pending(struct stap *tap, int flags, const struct msghdr *control)
{
	u32 done;
	int error = stap_settle(tap, NULL, tap->pending.size, flags, control, &done);

	if (error || tap->pending.size < stap_max_message)
		return error;
	return disconnect(tap, EMSGSIZE);
}
