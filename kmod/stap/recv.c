// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/wait.h>
#include <net/tcp.h>

#include "stap/base.h"
#include "stap/compat.h"
#include "stap/end.h"
#include "stap/gate.h"
#include "stap/recv.h"
#include "stap/stap.h"

/* Nothing more will become readable. */
static bool is_over(const struct sock *sk)
{
	return sk->sk_err || sk->sk_state == TCP_CLOSE || (sk->sk_shutdown & RCV_SHUTDOWN) ||
	       sock_flag(sk, SOCK_DONE);
}

static int why_over(struct sock *sk)
{
	if (sk->sk_err)
		return sock_error(sk);
	if (sock_flag(sk, SOCK_DONE) || (sk->sk_shutdown & RCV_SHUTDOWN))
		return 0;
	return -ENOTCONN;
}

static void advance(struct stap *tap)
{
	lock_sock(tap->sk);
	stap_gate_advance(tap);
	release_sock(tap->sk);
}

/*
 * Until it is ready (see stap_gate_is_ready()), or over: 1, 0 or an errno. Without the lock: what
 * comes in moves the gate by itself.
 */
static int wait(struct stap *tap, u32 skip, u32 least, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct sock *sk = tap->sk;
	int result;

	stap_gate_look(tap);
	add_wait_queue(sk_sleep(sk), &wait);
	sk_set_bit(SOCKWQ_ASYNC_WAITDATA, sk);
	for (;;) {
		bool over;

		/* Who moves the gate looks for waiters after that: skwq_has_sleeper(). */
		smp_mb();
		/* A FIN is seen before what came with it has been judged. */
		over = is_over(sk);
		if (over)
			advance(tap);
		stap_gate_finish(tap, timeo);
		result = stap_gate_is_ready(tap, skip, least);
		if (result)
			break;
		if (READ_ONCE(tap->error)) {
			stap_end_now(tap);
			break;
		}
		if (over && !READ_ONCE(tap->unfinished))
			break;
		if (!*timeo) {
			result = -EAGAIN;
			break;
		}
		if (signal_pending(current)) {
			result = sock_intr_errno(*timeo);
			break;
		}
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	}
	sk_clear_bit(SOCKWQ_ASYNC_WAITDATA, sk);
	remove_wait_queue(sk_sleep(sk), &wait);
	return result;
}

/* SO_PEEK_OFF: what was peeked at before, and is still there. It is not set while we peek. */
static u32 peeked(const struct sock *sk, int flags)
{
	return flags & MSG_PEEK ? max(READ_ONCE(sk->sk_peek_off), 0) : 0;
}

static int read_some(struct stap *tap, struct msghdr *message, size_t size, int flags,
		     int *addr_len)
{
	const int quickly = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
	int result = -EAGAIN;
	u32 there;

	mutex_lock(&tap->reader);
	there = stap_gate_allow(tap, peeked(tap->sk, flags));
	if (there)
		result = stap_base(tap->sk)->recvmsg(tap->sk, message, min_t(size_t, size, there),
						     quickly, addr_len);
	if (!(flags & MSG_PEEK))
		stap_gate_was_read(tap);
	mutex_unlock(&tap->reader);
	return result;
}

/*
 * One of several calls for one read. What is read last says what came with it, in the place of
 * what was said of all before.
 */
static int read_more(struct stap *tap, struct msghdr *message, size_t size, int flags,
		     int *addr_len, const struct kvec *control)
{
	const struct kvec said = { message->msg_control, message->msg_controllen };
	int result;

	message->msg_control = control->iov_base;
	message->msg_controllen = control->iov_len;
	result = read_some(tap, message, size, flags, addr_len);
	if (result <= 0) {
		message->msg_control = said.iov_base;
		message->msg_controllen = said.iov_len;
	}
	return result;
}

static int over(struct sock *sk)
{
	int result;

	lock_sock(sk);
	result = why_over(sk);
	release_sock(sk);
	return result;
}

static int read_all(struct stap *tap, struct msghdr *message, size_t size, int flags,
		    int *addr_len)
{
	const bool peek = flags & MSG_PEEK, all = flags & MSG_WAITALL;
	const int target = sock_rcvlowat(tap->sk, all, size);
	const struct kvec control = { message->msg_control, message->msg_controllen };
	const u64 turns = stap_gate_turns(tap);
	long timeo = sock_rcvtimeo(tap->sk, flags & MSG_DONTWAIT);
	int copied = 0, result;

	for (;;) {
		/* Anew each time: SO_PEEK_OFF may be set while we wait. */
		const u32 skip = peeked(tap->sk, flags);
		const u32 least = peek ? skip + target : all || copied ? 1 : target;

		stap_gate_finish(tap, &timeo);
		/* Not even a lock, if it is there. */
		if (stap_gate_is_ready(tap, skip, least)) {
			result = read_more(tap, message, size - copied, flags, addr_len, &control);
			if (result > 0)
				copied += result;
			else if (result != -EAGAIN)
				break;
			/*
			 * TCP has no word for who waits for less than SO_RCVLOWAT, when a dropped
			 * message was in the way of the rest.
			 */
			if (copied >= target ||
			    (copied && (peek || (!all && !stap_gate_readable(tap)))))
				break;
			/* Each of these may be a message, or many that are dropped. */
			if (copied && !timeo && stap_gate_turns(tap) > turns + 1)
				break;
			if (result > 0)
				continue;
		}
		result = wait(tap, skip, least, &timeo);
		if (result == 1)
			continue;
		/* What there is, if it is fewer than were asked for. */
		if (!copied && stap_gate_readable(tap) > skip)
			return read_some(tap, message, size, flags, addr_len);
		if (!result && !copied)
			result = over(tap->sk);
		break;
	}
	return copied ?: result;
}

int stap_recvmsg(struct sock *sk, struct msghdr *message, size_t size, int flags, int *addr_len)
{
	struct stap *tap = stap_of(sk);

	if (!tap)
		return -ECONNABORTED;
	if ((flags & MSG_ERRQUEUE) || !size || sk->sk_state == TCP_LISTEN ||
	    !stap_is_tapped(&tap->recv))
		return stap_base(sk)->recvmsg(sk, message, size, flags, addr_len);
	if (flags & MSG_OOB)
		return -EINVAL;
	return read_all(tap, message, size, flags, addr_len);
}

ssize_t stap_splice_read(struct socket *sock, loff_t *position, struct pipe_inode_info *pipe,
			 size_t size, unsigned int flags)
{
	struct sock *sk = sock->sk;
	const struct proto_ops *base = stap_base_ops(sk);
	struct stap *tap = stap_of(sk);
	ssize_t result;
	long timeo;

	if (!tap)
		return -ECONNABORTED;
	if (!size || sk->sk_state == TCP_LISTEN || !stap_is_tapped(&tap->recv))
		return base->splice_read(sock, position, pipe, size, flags);
	timeo = sock_rcvtimeo(sk, sock->file->f_flags & O_NONBLOCK || flags & SPLICE_F_NONBLOCK);
	for (;;) {
		u32 there;

		stap_gate_finish(tap, &timeo);
		mutex_lock(&tap->reader);
		there = stap_gate_allow(tap, 0);
		if (there)
			result = base->splice_read(sock, position, pipe,
						   min_t(size_t, size, there), flags);
		stap_gate_was_read(tap);
		mutex_unlock(&tap->reader);
		if (there)
			return result;
		result = wait(tap, 0, 1, &timeo);
		if (result != 1)
			return result ?: over(sk);
	}
}

#ifdef STAP_TCP_HAS_PEEK_OFF
int stap_set_peek_off(struct sock *sk, int value)
{
	struct stap *tap = stap_of(sk);
	int result;

	if (!tap)
		return sk_set_peek_off(sk, value);
	mutex_lock(&tap->reader);
	result = sk_set_peek_off(sk, value);
	mutex_unlock(&tap->reader);
	return result;
}
#endif
