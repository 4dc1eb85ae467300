// SPDX-License-Identifier: GPL-2.0
#include <linux/workqueue.h>
#include <net/tcp.h>

#include "stap/end.h"
#include "stap/stap.h"

static struct workqueue_struct *abort_queue;

/*
 * As `ss -K` would: a RST to the other side, the error to ours. It locks the socket itself, and
 * does nothing if both sides have ended it already; then the error is all that is left to do.
 */
static void abort_it(struct sock *sk, int error)
{
	if (!tcp_abort(sk, error))
		return;
	lock_sock(sk);
	if (!sock_flag(sk, SOCK_DEAD)) {
		WRITE_ONCE(sk->sk_err, error);
		sk_error_report(sk);
	}
	release_sock(sk);
}

/*
 * Its error, for who is to bring the end. The lock may be long in coming, and the socket have been
 * disconnected by then, and be another connection's.
 */
static int take_over(struct stap *tap)
{
	int error = 0;

	lock_sock(tap->sk);
	/* Who said that it is due may have been late. Nothing else is set without the lock. */
	if (READ_ONCE(tap->ending) == STAP_DUE) {
		error = tap->error;
		WRITE_ONCE(tap->ending, error ? STAP_ENDED : STAP_GOES_ON);
	}
	release_sock(tap->sk);
	return error;
}

static void queue_end(struct stap *tap)
{
	sock_hold(tap->sk);
	refcount_inc(&tap->references);
	/* It may still be to come, if only for the connection before, and sees that it is due. */
	if (!queue_work(abort_queue, &tap->abort)) {
		stap_free(tap);
		sock_put(tap->sk);
	}
}

/* With the mutex, which it leaves. */
static void end_it(struct stap *tap)
{
	int error;

	if (READ_ONCE(tap->ending) == STAP_DUE) {
		error = take_over(tap);
		if (error)
			abort_it(tap->sk, error);
	}
	mutex_unlock(&tap->ends);
	smp_mb(); /* who finds it taken from now on has set `ending` before */
	/* Who found it taken has not waited. */
	if (READ_ONCE(tap->ending) == STAP_DUE)
		queue_end(tap);
}

/* Whoever comes second waits until the first is through. */
static void bring_end(struct stap *tap)
{
	mutex_lock(&tap->ends);
	end_it(tap);
}

/* The first may wait for the socket as long as who has it pleases. */
static bool try_to_bring_end(struct stap *tap)
{
	if (!mutex_trylock(&tap->ends))
		return false;
	end_it(tap);
	return true;
}

static bool is_locked(struct sock *sk)
{
	bool locked;

	spin_lock_bh(&sk->sk_lock.slock);
	locked = sock_owned_by_user(sk);
	spin_unlock_bh(&sk->sk_lock.slock);
	return locked;
}

/* It does not wait for who has the socket locked, as others' ends would wait behind this one. */
static void abort_connection(struct work_struct *work)
{
	struct stap *tap = container_of(work, struct stap, abort);
	struct sock *sk = tap->sk;

	if (!is_locked(sk))
		try_to_bring_end(tap);
	stap_free(tap);
	sock_put(sk);
}

void stap_tell(struct sock *sk, __poll_t what)
{
	struct socket_wq *queue;

	rcu_read_lock();
	queue = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(queue))
		wake_up_interruptible_poll(&queue->wait, what);
	rcu_read_unlock();
}

void stap_end(struct stap *tap)
{
	if (!READ_ONCE(tap->error) || cmpxchg(&tap->ending, STAP_GOES_ON, STAP_DUE) != STAP_GOES_ON)
		return;
	queue_end(tap);
}

void stap_end_again(struct stap *tap)
{
	if (READ_ONCE(tap->ending) != STAP_DUE)
		return;
	queue_end(tap);
	stap_tell(tap->sk, EPOLLERR);
}

bool stap_end_unless_locked(struct stap *tap)
{
	stap_end(tap);
	return READ_ONCE(tap->ending) == STAP_DUE && !is_locked(tap->sk) && try_to_bring_end(tap);
}

void stap_end_now(struct stap *tap)
{
	stap_end(tap);
	bring_end(tap);
}

/*
 * What nobody has accepted must not be locked by anybody but its listener (that is a WARN in
 * inet_csk_listen_stop()). It ends when somebody first uses it, or with the listener. Who waits
 * for anything of it is told, and brings the end himself, if that has not come by then.
 */
void stap_fail(struct stap *tap, int error)
{
	if (tap->error)
		return;
	WRITE_ONCE(tap->error, error);
	smp_mb(); /* who gets the socket after this sees the error */
	if (!READ_ONCE(tap->sk->sk_socket))
		return;
	stap_end(tap);
	stap_tell(tap->sk, EPOLLERR);
}

void stap_end_prepare(struct stap *tap)
{
	mutex_init(&tap->ends);
	INIT_WORK(&tap->abort, abort_connection);
}

int __init stap_end_init(void)
{
	abort_queue = alloc_workqueue("stap", WQ_MEM_RECLAIM, 0);
	return abort_queue ? 0 : -ENOMEM;
}

void stap_end_exit(void)
{
	destroy_workqueue(abort_queue);
}
