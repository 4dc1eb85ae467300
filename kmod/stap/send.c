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

/*
 * TCP takes as much as it has room for; with this as much as there is. The charge of what is
 * pending goes with it.
 */
static int push_now(struct sock *sk, const struct stretch *stretch, u32 size, int flags)
{
	const u32 low_water = tcp_sk(sk)->notsent_lowat;
	const int limit = sk->sk_sndbuf;
	int result;

	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, U32_MAX);
	if (stretch->data) {
		result = push_short(sk, stretch, size, flags);
	} else {
		sk_forward_alloc_add(sk, size);
		result = push_pending(sk, stretch, size, flags);
		sk_forward_alloc_add(sk, max(result, 0) - (int)size);
	}
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
			return result;
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

/* What is pending ends with the last byte of a send; TCP, too, knows of one such byte only. */
static void mark(struct stap *tap, int flags)
{
	if (flags & MSG_OOB)
		tap->urgent = tap->pending.size;
}

static int settle_pending(struct stap *tap, struct msghdr *message, int flags)
{
	struct stretch stretch = {
		.source = source_of(tap), .tap = tap, .size = tap->pending.size, .flags = flags,
		.control = message,
	};
	int error = settle(&stretch);

	mark(tap, flags);
	if (error || tap->pending.size < stap_max_message)
		return error;
	return disconnect(tap, EMSGSIZE);
}

/* For later; how much of it, if memory is short. */
static u32 keep(struct stap *tap, u8 *data, u32 size)
{
	struct kvec left = { .iov_base = data, .iov_len = size };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &left, 1, size);
	while (iov_iter_count(&from)) {
		if (stap_buffer_append(tap->sk, &tap->pending, &from, iov_iter_count(&from)) < 0)
			break;
	}
	return size - iov_iter_count(&from);
}

/* The rest of what is sent, which is short. What is left of it begins a message and is pending. */
static ssize_t send_short(struct stap *tap, struct msghdr *message, int flags)
{
	const u32 size = msg_data_left(message);
	u8 data[SHORT];
	struct stretch stretch = {
		.source = source_of(tap), .tap = tap, .data = data, .size = size, .flags = flags,
		.control = message,
	};
	u32 accepted;
	int error;

	if (!copy_from_iter_full(data, size, &message->msg_iter))
		return -EFAULT;
	error = settle(&stretch);
	if (error || stretch.done == size)
		return error ?: size;
	accepted = stretch.done + keep(tap, data + stretch.done, size - stretch.done);
	if (accepted == stretch.done)
		tap->send.need = 0; /* it has not begun */
	if (accepted == size)
		mark(tap, flags);
	iov_iter_revert(&message->msg_iter, size - accepted);
	return accepted ?: -ENOMEM;
}

/* Fewer only if memory is short. */
static ssize_t copy(struct stap *tap, struct msghdr *message, size_t size)
{
	size_t copied = 0;

	while (copied < size) {
		const ssize_t some = stap_buffer_append(tap->sk, &tap->pending, &message->msg_iter,
							size - copied);

		if (some < 0)
			return copied ?: some;
		copied += some;
	}
	return copied;
}

/* The lock is gone meanwhile, but nobody else sends. */
static int nap(struct stap *tap, long *timeo)
{
	struct sock *sk = tap->sk;
	int error;

	set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	tap->sender_waits = true;
	error = sk_stream_wait_memory(sk, timeo);
	tap->sender_waits = false;
	return error;
}

static int await_turn(struct stap *tap, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int error = 0;

	add_wait_queue(&tap->senders, &wait);
	while (tap->sender_waits && !error) {
		if (!*timeo) {
			tap->sender_refused = true;
			error = -EAGAIN;
		} else if (signal_pending(current)) {
			error = sock_intr_errno(*timeo);
		} else {
			release_sock(tap->sk);
			*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
			lock_sock(tap->sk);
		}
	}
	remove_wait_queue(&tap->senders, &wait);
	return error;
}

/* Whoever waited for the end of a send. */
static void let_others(struct stap *tap)
{
	struct sock *sk = tap->sk;

	if (tap->sender_waits)
		return;
	if (waitqueue_active(&tap->senders)) /* they come and go with the lock held */
		wake_up_interruptible(&tap->senders);
	if (tap->sender_refused) {
		tap->sender_refused = false;
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		sk->sk_write_space(sk);
	}
}

static bool is_connected(const struct sock *sk)
{
	return ((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) ||
	       tcp_passive_fastopen(sk);
}

static int can_send(struct stap *tap)
{
	const struct sock *sk = tap->sk;

	if (tap->error) {
		stap_end(tap);
		return -tap->error;
	}
	return sk->sk_err || (sk->sk_shutdown & SEND_SHUTDOWN) || !is_connected(sk) ? -EPIPE : 0;
}

/* As for TCP, there is always room behind what it holds back in its last skb. */
static bool has_room(const struct sock *sk)
{
	const struct sk_buff *last = tcp_write_queue_tail(sk);

	return sk_stream_memory_free(sk) ||
	       (last && last == tcp_send_head(sk) && tcp_skb_can_collapse_to(last));
}

static int check_control(struct sock *sk, struct msghdr *message)
{
	struct sockcm_cookie cookie;

	if (!message->msg_controllen)
		return 0;
	sockcm_init(&cookie, sk);
	return sock_cmsg_send(sk, message, &cookie) ? -EINVAL : 0;
}

/*
 * So much is copied before it is judged, unless a message is longer. Without a parser a message is
 * what one call sends: for who would not wait it ends where there is no more room.
 */
static u32 portion(const struct stap *tap, size_t left, bool waits)
{
	const u32 most = max(READ_ONCE(stap_max_message), 1U);

	if (tap->send.parse)
		return min_t(size_t, left, PORTION);
	if (!waits)
		left = min_t(size_t, left, max(sk_stream_wspace(tap->sk), PORTION));
	return min_t(size_t, left, most - min(tap->pending.size, most - 1));
}

/* What is sent of the rest, at least a byte. ENOMEM: not now. */
static ssize_t send_some(struct stap *tap, struct msghdr *message, int flags, bool waits)
{
	const size_t left = msg_data_left(message);
	ssize_t some;
	int error;

	if (left <= SHORT && !tap->pending.size)
		return send_short(tap, message, flags);
	some = copy(tap, message, portion(tap, left, waits));
	if (some < 0)
		return some;
	if (!tap->send.parse && waits && some < left && tap->pending.size < stap_max_message)
		return some;
	error = settle_pending(tap, message, some < left ? 0 : flags);
	return error ?: some;
}

static int wait_for_room(struct stap *tap, long *timeo)
{
	return has_room(tap->sk) ? 0 : nap(tap, timeo) ?: can_send(tap);
}

static ssize_t send_all(struct stap *tap, struct msghdr *message, int flags, long timeo)
{
	const bool waits = timeo;
	int error = can_send(tap);
	size_t sent = 0;

	while (!error && msg_data_left(message)) {
		ssize_t some;

		error = wait_for_room(tap, &timeo);
		if (error)
			break;
		some = send_some(tap, message, flags, waits);
		if (some == -ENOMEM) {
			error = nap(tap, &timeo) ?: can_send(tap);
		} else if (some >= 0) {
			sent += some;
			error = can_send(tap);
		} else if (some == -EFAULT || tap->error) {
			error = some;
		} else {
			return some; /* TCP's own, which it has forgotten now */
		}
		if (!tap->send.parse && !waits && sent)
			break;
	}
	/* A message ends with its call, wherever that had to end. */
	if (!tap->send.parse && tap->pending.size && !can_send(tap))
		settle_pending(tap, message, 0);
	return sent ?: error;
}

static ssize_t send(struct stap *tap, struct msghdr *message, int flags)
{
	struct sock *sk = tap->sk;
	long timeo = sock_sndtimeo(sk, flags & MSG_DONTWAIT);
	int error = 0;

	if (!tap->error && !is_connected(sk))
		error = sk_stream_wait_connect(sk, &timeo);
	if (!error && tap->sender_waits)
		error = await_turn(tap, &timeo);
	error = error ?: check_control(sk, message);
	return error ?: send_all(tap, message, flags & LAST_FLAGS, timeo);
}

/* It is copied, and told so: the number of the notification. */
static int promise(struct sock *sk, size_t size, struct ubuf_info **notification)
{
	*notification = msg_zerocopy_realloc(sk, size, NULL);
	if (!*notification)
		return -ENOBUFS;
	uarg_to_msgzc(*notification)->zerocopy = 0;
	return 0;
}

int stap_sendmsg(struct sock *sk, struct msghdr *message, size_t size)
{
	struct ubuf_info *notification = NULL;
	const int flags = message->msg_flags;
	struct stap *tap = stap_of(sk);
	int result = 0;

	if (!tap)
		return -ECONNABORTED;
	if (!stap_is_tapped(&tap->send))
		return stap_base(sk)->sendmsg(sk, message, size);
	if (flags & MSG_FASTOPEN)
		return -EOPNOTSUPP;
	lock_sock(sk);
	/* Who has one of his own (io_uring) takes it from its not being used. */
	if ((flags & MSG_ZEROCOPY) && size && !message->msg_ubuf && sock_flag(sk, SOCK_ZEROCOPY))
		result = promise(sk, size, &notification);
	if (!result)
		result = send(tap, message, flags);
	let_others(tap);
	if (result < 0)
		net_zcopy_put_abort(notification, true);
	else
		net_zcopy_put(notification);
	if (result == -EPIPE)
		result = sk_stream_error(sk, flags, result);
	/* Nothing else would wake who waits for an edge. */
	if (result == -EAGAIN && tcp_rtx_and_write_queues_empty(sk))
		sk->sk_write_space(sk);
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
	tap->urgent = 0;
}
