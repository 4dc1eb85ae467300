// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/tcp.h>
#include <net/tcp.h>

#include "stap/compat.h"
#include "stap/end.h"
#include "stap/gate.h"
#include "stap/incoming.h"
#include "stap/program.h"
#include "stap/room.h"
#include "stap/stap.h"

/*
 * The queue's owner may take a dropped message away between our two looks at copied_seq. Then
 * limit is that of the next message, and the first look was at something else.
 */
u32 stap_gate_readable(const struct stap *tap)
{
	const struct tcp_sock *tp = tcp_sk(tap->sk);
	u32 copied, limit;

	if (!smp_load_acquire(&tap->started)) /* before limit; pairs with start() */
		return 0;
	copied = READ_ONCE(tp->copied_seq);
	smp_rmb(); /* pairs with eat(): if this limit is the next one, so is copied_seq below */
	limit = READ_ONCE(tap->limit);
	smp_rmb(); /* the second look comes last */
	if (copied != READ_ONCE(tp->copied_seq))
		return 0;
	return before(copied, limit) ? limit - copied : 0;
}

bool stap_gate_is_ready(const struct stap *tap, u32 skip, u32 least)
{
	const u32 there = stap_gate_readable(tap);

	return there >= least ||
	       (there > skip && (READ_ONCE(tap->drop) || tcp_epollin_ready(tap->sk, INT_MAX)));
}

/* It is like any other byte from now on. */
static void forget_mark(struct stap *tap)
{
	WRITE_ONCE(tcp_sk(tap->sk)->urg_data, 0);
	tcp_fast_path_check(tap->sk);
	tap->has_mark = false;
}

/*
 * With SO_OOBINLINE cleared, TCP takes an urgent byte that is next out of the stream when another
 * one is announced: copied_seq is behind the mark, and there is a new one, but nobody has read it.
 */
static void look_at_mark(struct stap *tap)
{
	const struct tcp_sock *tp = tcp_sk(tap->sk);

	if (likely(!tap->has_mark && !tp->urg_data))
		return;
	if (tap->has_mark && tp->urg_data && tp->urg_seq != tap->mark &&
	    after(tp->copied_seq, tap->mark)) {
		stap_fail(tap, ECONNABORTED);
		WRITE_ONCE(tap->limit, tp->copied_seq); /* what is there was not judged */
	}
	tap->has_mark = tp->urg_data;
	tap->mark = tp->urg_seq;
}

/*
 * TCP stops at an urgent byte; when it comes to it the next time and SO_OOBINLINE has been
 * cleared, it skips that byte and reads one more. So its mark goes when it is to be read. A mark
 * that is set later is of a byte that was not there, and so behind the gate.
 */
static u32 up_to_mark(struct stap *tap, u32 skip)
{
	const struct tcp_sock *tp = tcp_sk(tap->sk);
	u32 there;
	s32 ahead;

	lock_sock(tap->sk);
	look_at_mark(tap);
	there = stap_gate_readable(tap);
	there -= min(there, skip);
	ahead = tp->urg_seq - tp->copied_seq - skip;
	if (tp->urg_data && ahead <= 0)
		forget_mark(tap);
	else if (tp->urg_data)
		there = min_t(u32, there, ahead);
	release_sock(tap->sk);
	return there;
}

u32 stap_gate_allow(struct stap *tap, u32 skip)
{
	const u32 there = stap_gate_readable(tap);

	/* After that: a mark before the gate was there before the gate was. */
	if (there > skip && unlikely(READ_ONCE(tcp_sk(tap->sk)->urg_data)))
		return up_to_mark(tap, skip);
	return there - min(there, skip);
}

static int take(read_descriptor_t *descriptor, struct sk_buff *skb, unsigned int offset,
		size_t size)
{
	size = min(size, descriptor->count);
	descriptor->count -= size;
	return size;
}

/* Takes the dropped message away, once it is first. */
static bool eat(struct stap *tap)
{
	read_descriptor_t descriptor = { .count = tap->drop };
	struct sock *sk = tap->sk;
	const struct tcp_sock *tp = tcp_sk(sk);

	/* Somebody was in TCP when there was no tap, and has read more than was judged. */
	if (after(tp->copied_seq, tap->limit))
		stap_fail(tap, ECONNABORTED);
	if (tp->copied_seq != tap->limit)
		return false;
	tap->cursor = NULL;
	/* It would stop at an urgent byte. */
	if (tp->urg_data && tp->urg_seq - tp->copied_seq < tap->drop)
		forget_mark(tap);
	tcp_read_sock(sk, &descriptor, take);
	if (descriptor.count) {
		stap_fail(tap, ECONNABORTED);
		return false;
	}
	WRITE_ONCE(tap->drop, 0);
	smp_wmb(); /* copied_seq before limit; pairs with stap_gate_readable() */
	WRITE_ONCE(tap->limit, tp->copied_seq);
	return true;
}

/* Not before there is a connection: it brings sequence numbers of its own. */
static bool start(struct stap *tap)
{
	const struct sock *sk = tap->sk;

	if ((1 << sk->sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT | TCPF_LISTEN) &&
	    skb_queue_empty(&sk->sk_receive_queue))
		return false;
	WRITE_ONCE(tap->limit, tcp_sk(tap->sk)->copied_seq);
	WRITE_ONCE(tap->incomplete, 0);
	tap->has_mark = false;
	smp_store_release(&tap->started, true); /* pairs with stap_gate_readable() */
	return true;
}

/* A message that is not all there: can the rest come? */
static void await(struct stap *tap)
{
	if (sock_flag(tap->sk, SOCK_DONE))
		stap_fail(tap, ECONNABORTED);
	else if (tap->recv.need || tap->incomplete < stap_max_message)
		stap_room_make(tap);
	else
		stap_fail(tap, EMSGSIZE);
}

/* The message at the gate; whether there may be another. */
static bool next(struct stap *tap, bool *moved)
{
	const s32 there = stap_incoming_end(tap) - tap->limit;
	struct stap_finding found;

	if (there <= 0)
		return false;
	/* TCP has skipped a byte that nobody had judged: see tcp_check_urg(). */
	if (after(tcp_sk(tap->sk)->copied_seq, tap->limit)) {
		stap_fail(tap, ECONNABORTED);
		return false;
	}
	if (there == tap->incomplete) {
		await(tap); /* nothing new, but there may be an end */
		return false;
	}
	found = stap_examine(&tap->incoming, 0, there);
	if (found.length < 0) {
		stap_fail(tap, -found.length);
		return false;
	}
	if (!found.length || found.length > there) {
		WRITE_ONCE(tap->incomplete, there);
		await(tap);
		return false;
	}
	WRITE_ONCE(tap->incomplete, 0);
	switch (found.verdict) {
	case STAP_OK:
		smp_store_release(&tap->limit, tap->limit + found.length); /* after urg_data */
		*moved = true;
		return found.length < there;
	case STAP_DROP:
		WRITE_ONCE(tap->drop, found.length);
		/* Who waits in recv() may want more than there can be now; no event for poll(). */
		stap_tell(tap->sk, EPOLLMSG);
		return true;
	default:
		stap_fail(tap, ECONNABORTED);
		return false;
	}
}

/*
 * A segment may have a message in each of its bytes. So many are judged before somebody else gets
 * the processor, and the socket; and so many by who calls, who may not want to wait.
 */
#define GO 256
#define TURN (64 * GO)

static struct workqueue_struct *goers;

/* What comes with an end is judged first. Then nothing else tells of it. */
static bool has_ended(const struct sock *sk)
{
	return (sk->sk_shutdown & RCV_SHUTDOWN) || sk->sk_err;
}

/* Whether anybody may be waiting for what has changed. What is left is for who comes next. */
static bool move(struct stap *tap, bool is_process)
{
	const bool was_unfinished = tap->unfinished;
	bool moved = false, unfinished = false;
	u32 left = is_process ? TURN : GO;

	sock_owned_by_me(tap->sk);
	if (!tap->started && !start(tap)) {
		WRITE_ONCE(tap->unfinished, false);
		return false;
	}
	/* An application may clear it. Urgent data are in the stream, where they are judged. */
	if (!sock_flag(tap->sk, SOCK_URGINLINE))
		sock_set_flag(tap->sk, SOCK_URGINLINE);
	look_at_mark(tap);
	tap->cursor = NULL;
	do {
		if (tap->error || (tap->drop && !eat(tap)))
			break;
		if (is_process)
			cond_resched();
		if (!left--)
			unfinished = true;
	} while (!unfinished && next(tap, &moved));
	/* Until now it stands: whoever reads meanwhile waits for the lock, and finds all of it. */
	WRITE_ONCE(tap->unfinished, unfinished);
	return (moved && stap_gate_readable(tap)) ||
	       (was_unfinished && !unfinished && has_ended(tap->sk));
}

/*
 * One go. It does not wait for who has the socket locked: he says so again when he is through (see
 * release_cb() in proto.c), and others' wait for their turn here.
 */
static void go_on(struct work_struct *work)
{
	struct stap *tap = container_of(work, struct stap, go_on);
	struct sock *sk = tap->sk;

	spin_lock_bh(&sk->sk_lock.slock);
	if (!sock_owned_by_user(sk) && tap->unfinished && !sock_flag(sk, SOCK_DEAD)) {
		if (move(tap, false))
			tap->data_ready(sk);
		stap_gate_go_on(tap);
	}
	spin_unlock_bh(&sk->sk_lock.slock);
	stap_free(tap);
	sock_put(sk);
}

/* What nobody has accepted yet can wait until it is. */
void stap_gate_go_on(struct stap *tap)
{
	struct sock *sk = tap->sk;

	if (!tap->unfinished || !READ_ONCE(sk->sk_socket))
		return;
	sock_hold(sk);
	refcount_inc(&tap->references);
	if (!queue_work(goers, &tap->go_on)) {
		stap_free(tap);
		sock_put(sk);
	}
}

void stap_gate_prepare(struct stap *tap)
{
	INIT_WORK(&tap->go_on, go_on);
}

int __init stap_gate_init(void)
{
	/* Few at a time: nobody is charged for them, and floods leave others the processors. */
	goers = alloc_workqueue("stap_gate", WQ_MEM_RECLAIM | WQ_UNBOUND, 4);
	return goers ? 0 : -ENOMEM;
}

void stap_gate_exit(void)
{
	destroy_workqueue(goers);
}

void stap_gate_advance(struct stap *tap)
{
	if (move(tap, true))
		tap->data_ready(tap->sk);
}

static void advance(struct stap *tap)
{
	lock_sock(tap->sk);
	stap_gate_advance(tap);
	release_sock(tap->sk);
}

/* Or what came in one segment would be read in pieces, which applications are not used to. */
void stap_gate_finish(struct stap *tap, long *timeo)
{
	while (READ_ONCE(tap->unfinished) && !signal_pending(current)) {
		const unsigned long begin = jiffies;

		advance(tap);
		if (*timeo != MAX_SCHEDULE_TIMEOUT)
			*timeo -= min_t(unsigned long, *timeo, jiffies - begin);
		if (!*timeo)
			break;
	}
}

u64 stap_gate_turns(const struct stap *tap)
{
	const struct stap_direction *recv = &tap->recv;

	return (READ_ONCE(recv->messages) + READ_ONCE(recv->dropped)) / TURN;
}

void stap_gate_look(struct stap *tap)
{
	/* Data in a SYN are queued without a word (TCP Fast Open). */
	if (!READ_ONCE(tap->started) || READ_ONCE(tap->unfinished) ||
	    READ_ONCE(tap->sk->sk_rcvlowat) > 1)
		advance(tap);
}

void stap_gate_was_read(struct stap *tap)
{
	if (stap_gate_readable(tap))
		return;
	if (READ_ONCE(tap->drop) || READ_ONCE(tap->unfinished) ||
	    (READ_ONCE(tap->incomplete) && stap_room_is_short(tap)))
		advance(tap);
}

bool stap_gate_poll(struct stap *tap)
{
	if (!READ_ONCE(tap->started))
		advance(tap);
	return stap_gate_is_ready(tap, 0, sock_rcvlowat(tap->sk, 0, INT_MAX));
}

/*
 * Its data_ready() is called without its lock, and by then it may be none any more: see unhash() in
 * proto.c.
 */
static bool is_listener(const struct stap *tap)
{
	return inet_sk_state_load(tap->sk) == TCP_LISTEN || READ_ONCE(tap->listened);
}

/* It is left as it is if somebody is to go on. */
static bool has_come(struct stap *tap)
{
	bool moved = false;

	if (tap->unfinished)
		look_at_mark(tap);
	else
		moved = move(tap, false);
	stap_gate_go_on(tap);
	return moved;
}

void stap_gate_data_ready(struct sock *sk)
{
	struct stap *tap;

	rcu_read_lock();
	tap = stap_of(sk);
	/*
	 * Without a tap: a child for which there was no memory. Nobody can read it either. With
	 * SO_RCVLOWAT what was too little may be enough now, as there is no room for more.
	 */
	if (tap && (is_listener(tap) || !stap_is_tapped(&tap->recv) || has_come(tap) ||
		    has_ended(sk) ||
		    (sk->sk_rcvlowat > 1 && stap_gate_readable(tap))))
		tap->data_ready(sk);
	rcu_read_unlock();
}
