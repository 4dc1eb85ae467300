// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <net/tcp.h>

#include "stap/base.h"
#include "stap/buffer.h"
#include "stap/end.h"
#include "stap/program.h"
#include "stap/send.h"
#include "stap/stap.h"
#include "stap/stretch.h"

/* So much is copied before it is judged, unless a message is longer. */
#define PORTION (128 << 10)

/* Up to here what is sent is judged without pages of its own. */
#define SHORT 256

/* What a caller says about the last byte. */
#define LAST_FLAGS (MSG_OOB | MSG_EOR | MSG_MORE)

/* What is pending ends with the last byte of a send; TCP, too, knows of one such byte only. */
static void mark(struct stap *tap, int flags)
{
	if (flags & MSG_OOB)
		tap->urgent = tap->pending.size;
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
	u32 done, accepted;
	u8 data[SHORT];
	int error;

	if (!copy_from_iter_full(data, size, &message->msg_iter))
		return -EFAULT;
	error = stap_settle(tap, data, size, flags, message, &done);
	if (error || done == size)
		return error ?: size;
	accepted = done + keep(tap, data + done, size - done);
	if (accepted == size)
		mark(tap, flags);
	else
		stap_program_forget(&tap->send); /* the parser saw more of it than there is */
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
	if (waitqueue_active(&tap->senders)) /* the lock is held where they come and go */
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
	/*
	 * Who was on his way into TCP's setsockopt() may get through after all. What is sent in
	 * repair may be for the receive queue, into which is copied what give.c has not there.
	 */
	if (unlikely(tcp_sk(sk)->repair))
		return -EOPNOTSUPP;
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
	flags = some < left ? 0 : flags;
	error = stap_settle_pending(tap, flags, message);
	mark(tap, flags);
	return error ?: some;
}

/* What is sent of the rest, once there is room; 0: there is no rest. */
static ssize_t send_more(struct stap *tap, struct msghdr *message, int flags, bool waits,
			 long *timeo)
{
	int error = can_send(tap);
	ssize_t some;

	if (error || !msg_data_left(message))
		return error;
	some = has_room(tap->sk) ? send_some(tap, message, flags, waits) : -ENOMEM;
	while (some == -ENOMEM && !tap->error) {
		error = nap(tap, timeo) ?: can_send(tap);
		if (error)
			return error;
		some = send_some(tap, message, flags, waits);
	}
	return some;
}

static ssize_t send_all(struct stap *tap, struct msghdr *message, int flags, long timeo)
{
	const bool waits = timeo;
	size_t sent = 0;
	ssize_t some;

	do {
		some = send_more(tap, message, flags, waits, &timeo);
		sent += max_t(ssize_t, some, 0);
	} while (some > 0 && msg_data_left(message) && (waits || tap->send.parse));
	/* A message ends with its call, wherever that had to end. */
	if (!tap->send.parse && tap->pending.size && !can_send(tap))
		stap_settle_pending(tap, 0, message);
	return sent ?: some;
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
