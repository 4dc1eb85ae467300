// SPDX-License-Identifier: GPL-2.0
#include <linux/bvec.h>
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <net/tcp.h>

#include "../compat.h"
#include "buffer.h"
#include "program.h"
#include "proto.h"
#include "send.h"
#include "stap.h"
#include "view.h"

/* So much is copied before it is judged, unless a message is longer. */
#define PORTION (128 << 10)

/* Up to here TCP copies once more, into pages that it has begun: that is less work. */
#define COPIED_AGAIN 2048

/* What a caller says about the last byte. */
#define LAST_FLAGS (MSG_OOB | MSG_EOR | MSG_MORE)

static int run(struct stap *tap, const struct bpf_prog *program, u32 offset, u32 size,
	       int *answer)
{
	struct stap_view *view = stap_view_begin(tap->sk);
	int error = stap_buffer_view(&tap->pending, view, offset, size);

	if (!error)
		*answer = stap_program_run(program, view->skb);
	stap_view_end(view);
	return error;
}

/* The length of the message that begins at offset, if that can be told. */
static int parse(struct stap *tap, u32 offset)
{
	const u32 size = tap->pending.size - offset;
	int error, length;

	if (tap->send.need)
		return tap->send.need;
	if (!tap->send.parse)
		return size;
	error = run(tap, tap->send.parse, offset, size, &length);
	return error ?: stap_checked_length(length);
}

static int judge(struct stap *tap, u32 offset, u32 size)
{
	int error, verdict = STAP_OK;

	if (tap->send.verdict) {
		error = run(tap, tap->send.verdict, offset, size, &verdict);
		if (error)
			return error;
	}
	return stap_counted_verdict(&tap->send, verdict, size);
}

/* TCP takes as much as it has room for; with this as much as there is. */
static int push_now(struct sock *sk, const struct stap_buffer *buffer, u32 size, int flags,
		    struct msghdr *control)
{
	const struct bio_vec *piece = buffer->piece + buffer->first;
	const u32 count = buffer->count - buffer->first;
	const int limit = sk->sk_sndbuf;
	int result;

	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	if (size > COPIED_AGAIN)
		result = stap_send_pages(sk, piece, count, size, flags, control);
	else
		result = stap_send_copied(sk, piece, count, size, flags, control);
	if (sk->sk_sndbuf == INT_MAX)
		WRITE_ONCE(sk->sk_sndbuf, limit);
	return result;
}

/* The first bytes, which have passed, to TCP. It refuses some only if memory is short. */
static int push(struct stap *tap, u32 size, int flags, struct msghdr *control)
{
	struct sock *sk = tap->sk;

	while (size) {
		int result = push_now(sk, &tap->pending, size, flags, control);

		if (result == -EAGAIN) {
			long timeo = HZ / 10;

			result = sk_stream_wait_memory(sk, &timeo);
			if (result && result != -EAGAIN)
				return result;
			continue;
		}
		if (result < 0)
			return result;
		stap_buffer_skip(sk, &tap->pending, result);
		size -= result;
	}
	return 0;
}

/* The first bytes, which have passed. The flags are for the last byte of all. */
static int push_passed(struct stap *tap, u32 *passed, int flags, struct msghdr *control)
{
	const u32 size = *passed;

	/* Without MSG_MORE if more is pending: it may never go, and nothing else would push. */
	if (size != tap->pending.size)
		flags = 0;
	*passed = 0;
	return push(tap, size, flags, control);
}

static int disconnect(struct stap *tap, int error)
{
	stap_fail(tap, error);
	return -error;
}

/* All whole messages. Those that pass one after the other go together: *passed bytes so far. */
static int settle_more(struct stap *tap, u32 *passed, int flags, struct msghdr *control)
{
	while (tap->pending.size > *passed) {
		const int length = parse(tap, *passed);
		int error, verdict;

		if (length < 0)
			return disconnect(tap, -length);
		if (!length || length > tap->pending.size - *passed) {
			tap->send.need = length;
			break;
		}
		tap->send.need = 0;
		verdict = judge(tap, *passed, length);
		if (verdict == STAP_OK) {
			*passed += length;
			continue;
		}
		if (verdict != STAP_DROP)
			return disconnect(tap, verdict < 0 ? -verdict : ECONNABORTED);
		error = push_passed(tap, passed, flags, control);
		if (error)
			return error;
		stap_buffer_skip(tap->sk, &tap->pending, length);
	}
	return 0;
}

static int settle(struct stap *tap, int flags, struct msghdr *control)
{
	u32 passed = 0;
	int error, pushed;

	error = settle_more(tap, &passed, flags, control);
	/* What came before a disconnection has passed. */
	pushed = push_passed(tap, &passed, flags, control);
	if (error || pushed)
		return error ?: pushed;
	return tap->pending.size < stap_max_message ? 0 : disconnect(tap, EMSGSIZE);
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

static int wait_for_room(struct stap *tap, long *timeo)
{
	struct sock *sk = tap->sk;

	/* Who is in the middle of a message may go on: its end is what makes room. */
	if (sk_stream_memory_free(sk) || tap->pending.size)
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

		stap_end(tap);
		error = tap->error ? -tap->error : 0;
		if (!error && (sk->sk_err || (sk->sk_shutdown & SEND_SHUTDOWN)))
			error = -EPIPE;
		if (!error)
			error = wait_for_room(tap, &timeo);
		if (error)
			break;
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
		error = settle(tap, sent < size ? 0 : flags & LAST_FLAGS, message);
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
