// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <net/tcp.h>

#include "buffer.h"
#include "give.h"
#include "program.h"
#include "proto.h"
#include "send.h"
#include "stap.h"
#include "view.h"

/* So much is copied before it is judged, unless a message is longer. */
#define PORTION (128 << 10)

/* Up to here what is sent is judged without pages of its own. */
#define SHORT 256

/* What a caller says about the last byte. */
#define LAST_FLAGS (MSG_OOB | MSG_EOR | MSG_MORE)

/*
 * What is judged at a time: the pending bytes, or a short message that is no longer than
 * SHORT and is judged and sent before it needs a page.
 */
struct stretch {
	struct stap_source source;
	struct stap *tap;
	const u8 *data; /* NULL: pending */
	u32 size;
	u32 done; /* sent, or dropped; no longer pending */
	u32 passed; /* may be sent */
	int flags; /* of the last byte */
	struct msghdr *control;
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

static int push_short(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	struct kvec data = { .iov_base = (u8 *)stretch->data + stretch->done, .iov_len = size };
	struct msghdr message = {
		.msg_flags = flags,
		.msg_control = stretch->control->msg_control,
		.msg_controllen = stretch->control->msg_controllen,
	};

	iov_iter_kvec(&message.msg_iter, ITER_SOURCE, &data, 1, size);
	return tcp_sendmsg_locked(sk, &message, size);
}

static int push_pending(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	const struct stap_buffer *pending = &stretch->tap->pending;

	return stap_give(sk, pending->piece + pending->first, pending->count - pending->first,
			 size, flags, stretch->control);
}

/* TCP takes as much as it has room for; with this as much as there is. */
static int push_now(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	const int limit = sk->sk_sndbuf;
	int result;

	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	result = stretch->data ? push_short(sk, stretch, size, flags) :
				 push_pending(sk, stretch, size, flags);
	if (sk->sk_sndbuf == INT_MAX)
		WRITE_ONCE(sk->sk_sndbuf, limit);
	return result;
}

/* These bytes are gone, wherever they went. */
static void finish(struct stretch *stretch, u32 size)
{
	if (size && !stretch->data)
		stap_buffer_skip(stretch->tap->sk, &stretch->tap->pending, size);
	stretch->done += size;
}

static int disconnect(struct stap *tap, int error)
{
	stap_fail(tap, error);
	return -error;
}

/* What has passed, to TCP. It refuses some only if memory is short. */
static int push(struct stretch *stretch)
{
	/* Without MSG_MORE if more is there: it may never go, and nothing else would push. */
	const int flags = stretch->done + stretch->passed == stretch->size ? stretch->flags : 0;
	struct sock *sk = stretch->tap->sk;

	while (stretch->passed) {
		int result = push_now(sk, stretch, stretch->passed, flags);

		if (result == -EAGAIN) {
			long timeo = HZ / 10;

			result = sk_stream_wait_memory(sk, &timeo);
			if (result && result != -EAGAIN)
				return result;
			continue;
		}
		if (result == -EIO)
			return disconnect(stretch->tap, EIO);
		if (result < 0)
			return result;
		finish(stretch, result);
		stretch->passed -= result;
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
		finish(stretch, found.length);
	}
}

static int settle(struct stretch *stretch)
{
	int error = judge(stretch);
	/* What came before a disconnection has passed. */
	int pushed = push(stretch);

	return error ?: pushed;
}

static int settle_pending(struct stap *tap, struct msghdr *message, int flags)
{
	struct stretch stretch = {
		.source = source_of(tap), .tap = tap, .size = tap->pending.size, .flags = flags,
		.control = message,
	};
	int error = settle(&stretch);

	if (error || tap->pending.size < stap_max_message)
		return error;
	return disconnect(tap, EMSGSIZE);
}

/* For later. */
static int keep(struct stap *tap, u8 *data, u32 size)
{
	struct kvec left = { .iov_base = data, .iov_len = size };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &left, 1, size);
	while (iov_iter_count(&from)) {
		ssize_t some = stap_buffer_append(tap->sk, &tap->pending, &from,
						  iov_iter_count(&from));

		if (some < 0)
			return some;
	}
	return 0;
}

/* The whole of it is copied, or nothing. What is left of it begins a message and is pending. */
static ssize_t send_short(struct stap *tap, struct msghdr *message, u32 size, int flags)
{
	u8 data[SHORT];
	struct stretch stretch = {
		.source = source_of(tap), .tap = tap, .data = data, .size = size, .flags = flags,
		.control = message,
	};
	int error;

	if (!copy_from_iter_full(data, size, &message->msg_iter))
		return -EFAULT;
	error = settle(&stretch);
	if (error || stretch.done == size)
		return error ?: size;
	error = keep(tap, data + stretch.done, size - stretch.done);
	return error ? disconnect(tap, -error) : size;
}

/* Copies up to a portion; fewer only if memory is short. */
static ssize_t copy(struct stap *tap, struct msghdr *message)
{
	size_t copied = 0, left;

	while ((left = min_t(size_t, msg_data_left(message), PORTION - copied))) {
		const ssize_t some = stap_buffer_append(tap->sk, &tap->pending, &message->msg_iter,
							left);

		if (some < 0)
			return copied ?: some;
		copied += some;
	}
	return copied;
}

static int can_send(struct stap *tap)
{
	if (tap->error) {
		stap_end(tap);
		return -tap->error;
	}
	return tap->sk->sk_err || (tap->sk->sk_shutdown & SEND_SHUTDOWN) ? -EPIPE : 0;
}

static int wait_for_room(struct stap *tap, long *timeo)
{
	struct sock *sk = tap->sk;

	/* Who is in the middle of a message may go on: its end is what makes room. */
	if (tap->pending.size || sk_stream_memory_free(sk))
		return 0;
	set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	return sk_stream_wait_memory(sk, timeo);
}

static int send(struct stap *tap, struct msghdr *message, size_t size, int flags)
{
	struct sock *sk = tap->sk;
	long timeo = sock_sndtimeo(sk, flags & MSG_DONTWAIT);
	size_t sent = 0;
	int error = 0;

	if ((1 << sk->sk_state) & ~(TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) {
		error = sk_stream_wait_connect(sk, &timeo);
		if (error)
			return error;
	}
	while (sent < size) {
		ssize_t some;

		error = can_send(tap) ?: wait_for_room(tap, &timeo);
		if (error)
			break;
		if (size <= SHORT && !tap->pending.size)
			return send_short(tap, message, size, flags & LAST_FLAGS);
		some = copy(tap, message);
		if (some == -ENOMEM) {
			error = sk_stream_wait_memory(sk, &timeo);
			if (error)
				break;
			continue;
		}
		if (some < 0) {
			error = some;
			break;
		}
		sent += some;
		error = settle_pending(tap, message, sent < size ? 0 : flags & LAST_FLAGS);
		if (error)
			return error;
	}
	return sent ?: error;
}

int stap_sendmsg(struct sock *sk, struct msghdr *message, size_t size)
{
	const int flags = message->msg_flags;
	struct stap *tap = stap_of(sk);
	int result;

	if (!tap)
		return -ECONNABORTED;
	if (!stap_is_tapped(&tap->send))
		return stap_base(sk)->sendmsg(sk, message, size);
	if ((flags & MSG_FASTOPEN) || ((flags & MSG_ZEROCOPY) && sock_flag(sk, SOCK_ZEROCOPY)))
		return -EOPNOTSUPP;
	lock_sock(sk);
	result = send(tap, message, size, flags);
	if (result == -EPIPE)
		result = sk_stream_error(sk, flags, result);
	release_sock(sk);
	return result;
}

bool stap_send_is_incomplete(const struct stap *tap)
{
	return tap->pending.size;
}

void stap_send_forget(struct stap *tap)
{
	stap_buffer_free(tap->sk, &tap->pending);
}
