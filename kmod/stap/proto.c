// SPDX-License-Identifier: GPL-2.0
#include <linux/bvec.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/sockios.h>
#include <linux/uio.h>
#include <net/inet_common.h>

#include <asm/ioctls.h>

#include "stap/base.h"
#include "stap/child.h"
#include "stap/compat.h"
#include "stap/end.h"
#include "stap/gate.h"
#include "stap/program.h"
#include "stap/proto.h"
#include "stap/recv.h"
#include "stap/send.h"
#include "stap/sockopt.h"
#include "stap/stap.h"

static struct proto protos[STAP_FAMILIES] __ro_after_init;
static struct proto_ops ops[STAP_FAMILIES];
static DEFINE_MUTEX(ops_mutex);

static void put_on(struct sock *sk)
{
	WRITE_ONCE(sk->sk_prot, &protos[stap_family_of(sk)]);
	WRITE_ONCE(sk->sk_socket->ops, &ops[stap_family_of(sk)]);
}

/* Before it is seen to have ended. */
static void note_listening(struct stap *tap)
{
	if (tap->sk->sk_state == TCP_LISTEN)
		WRITE_ONCE(tap->listened, true);
}

static void close(struct sock *sk, long timeout)
{
	struct stap *tap = stap_of(sk);

	if (tap) {
		bool incomplete;

		if (sk->sk_state != TCP_LISTEN)
			stap_end_now(tap);
		lock_sock(sk);
		note_listening(tap);
		incomplete = stap_send_is_incomplete(tap) && !tap->error;
		stap_send_forget(tap);
		stap_base_put_back(sk);
		release_sock(sk);
		if (incomplete)
			tcp_abort(sk, ECONNABORTED);
		else if (tap->error)
			stap_end_now(tap);
	}
	stap_base(sk)->close(sk, timeout);
}

static void shutdown(struct sock *sk, int how)
{
	struct stap *tap = stap_of(sk);

	/* Not even a FIN: the stream would look whole. */
	if (tap && (how & SEND_SHUTDOWN) && stap_send_is_incomplete(tap))
		stap_fail(tap, ECONNABORTED);
	else
		stap_base(sk)->shutdown(sk, how);
}

/* Whatever ends the listening, but for close(). */
static void unhash(struct sock *sk)
{
	if (stap_of(sk))
		note_listening(stap_of(sk));
	stap_base(sk)->unhash(sk);
}

/* With the spinlock of the socket's lock. */
static void release_cb(struct sock *sk)
{
	struct stap *tap = stap_of(sk);

	if (tap) {
		stap_end_again(tap);
		stap_gate_go_on(tap);
	}
	stap_base(sk)->release_cb(sk);
}

/*
 * With the socket locked. Who found it listening may be about to call its data_ready(), as for a
 * listener, without that lock; they all are within RCU, and there come no more.
 */
static int connect(struct sock *sk, struct sockaddr *address, int size)
{
	struct stap *tap = stap_of(sk);

	if (tap && tap->listened) {
		synchronize_rcu();
		WRITE_ONCE(tap->listened, false);
	}
	return stap_base(sk)->connect(sk, address, size);
}

/*
 * Whoever has other functions for the system call than ours (see release_newborn()) gets them now.
 * What ours would have refused to set, those did not: in repair the next connection would be one
 * that nobody at the other end knows of, with what this one puts into its own queue.
 */
static void put_on_again(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	put_on(sk);
	tp->fastopen_connect = 0;
	if (tp->repair) {
		tp->repair = 0;
		sk->sk_reuse = SK_NO_REUSE; /* as TCP does when it ends */
	}
}

/* With the socket locked. A listener's is also called for children that it forgets. */
static int disconnect(struct sock *sk, int flags)
{
	struct stap *tap = stap_of(sk);

	if (sk->sk_socket && stap_is_ours(sk))
		put_on_again(sk);
	if (tap && stap_is_ours(sk)) {
		stap_send_forget(tap);
		tap->started = false;
		tap->has_mark = false;
		WRITE_ONCE(tap->unfinished, false);
		stap_program_forget(&tap->recv);
		stap_program_forget(&tap->send);
		tap->drop = 0;
		tap->error = 0;
		WRITE_ONCE(tap->ending, STAP_GOES_ON);
	}
	return stap_base(sk)->disconnect(sk, flags);
}

static int readable(struct sock *sk)
{
	return stap_gate_readable(stap_of(sk));
}

static bool is_gated(const struct sock *sk)
{
	const struct stap *tap = stap_of(sk);

	return tap && stap_is_tapped(&tap->recv) && sk->sk_state != TCP_LISTEN;
}

/* TCP does not say that there is news before there is as much as SO_RCVLOWAT wants. */
static int incoming(struct sock *sk)
{
	lock_sock(sk);
	stap_gate_advance(stap_of(sk));
	release_sock(sk);
	return readable(sk);
}

#ifdef STAP_HAS_SENDPAGE
static int ioctl(struct sock *sk, int command, unsigned long argument)
{
	if (command == SIOCINQ && is_gated(sk))
		return put_user(incoming(sk), (int __user *)argument);
	return stap_base(sk)->ioctl(sk, command, argument);
}
#else
static int ioctl(struct sock *sk, int command, int *argument)
{
	if (command != SIOCINQ || !is_gated(sk))
		return stap_base(sk)->ioctl(sk, command, argument);
	*argument = incoming(sk);
	return 0;
}
#endif

static __poll_t poll(struct file *file, struct socket *sock, struct poll_table_struct *table)
{
	__poll_t mask = stap_base_ops(sock->sk)->poll(file, sock, table);
	struct sock *sk = sock->sk;

	/* Who fails after that looks for waiters, of which this is one now. */
	if (stap_of(sk) && stap_end_unless_locked(stap_of(sk)))
		mask = stap_base_ops(sk)->poll(file, sock, NULL);
	if (!(mask & (EPOLLIN | EPOLLRDNORM)) || !is_gated(sk) || sk->sk_err ||
	    (sk->sk_shutdown & RCV_SHUTDOWN))
		return mask;
	if (!stap_gate_poll(stap_of(sk)))
		mask &= ~(EPOLLIN | EPOLLRDNORM);
	return mask;
}

/* For the system call alone: programs that call bpf_setsockopt() look whether TCP's is TCP's. */
static int setsockopt(struct socket *sock, int level, int name, sockptr_t value, unsigned int size)
{
	if (level == SOL_STAP)
		return stap_set_option(sock->sk, name, value, size);
	if (level == SOL_TCP && (name == TCP_REPAIR || name == TCP_FASTOPEN_CONNECT))
		return -EOPNOTSUPP;
	return stap_base_ops(sock->sk)->setsockopt(sock, level, name, value, size);
}

static int getsockopt(struct sock *sk, int level, int name, char __user *value, int __user *size)
{
	if (level == SOL_STAP)
		return stap_get_option(sk, name, value, size);
	if (level == SOL_TCP && name == TCP_ZEROCOPY_RECEIVE)
		return -EOPNOTSUPP;
	return stap_base(sk)->getsockopt(sk, level, name, value, size);
}

/* What other parts of the kernel would use to go around the tap. */
static int no_read_sock(struct sock *sk, read_descriptor_t *descriptor, sk_read_actor_t actor)
{
	return -EOPNOTSUPP;
}

static int no_read_skb(struct sock *sk, skb_read_actor_t actor)
{
	return -EOPNOTSUPP;
}

static int no_sendmsg_locked(struct sock *sk, struct msghdr *message, size_t size)
{
	return -EOPNOTSUPP;
}

#ifdef STAP_ACCEPT_HAS_FLAGS
static int accept(struct socket *sock, struct socket *child, int flags, bool kern)
{
	return stap_base_ops(sock->sk)->accept(sock, child, flags, kern) ?:
	       stap_child_adopt_accepted(sock->sk, child->sk);
}
#else
static int accept(struct socket *sock, struct socket *child, struct proto_accept_arg *argument)
{
	return stap_base_ops(sock->sk)->accept(sock, child, argument) ?:
	       stap_child_adopt_accepted(sock->sk, child->sk);
}
#endif

static int peek_len(struct socket *sock)
{
	return is_gated(sock->sk) ? readable(sock->sk) : stap_base_ops(sock->sk)->peek_len(sock);
}

#ifdef STAP_HAS_SENDPAGE
static int no_sendpage_locked(struct sock *sk, struct page *page, int offset, size_t size,
			      int flags)
{
	return -EOPNOTSUPP;
}

static int sendpage(struct sock *sk, struct page *page, int offset, size_t size, int flags)
{
	struct bio_vec piece = { .bv_page = page, .bv_offset = offset, .bv_len = size };
	struct msghdr message = { .msg_flags = flags & ~MSG_SENDPAGE_NOTLAST };

	if (flags & MSG_SENDPAGE_NOTLAST)
		message.msg_flags |= MSG_MORE;
	iov_iter_bvec(&message.msg_iter, ITER_SOURCE, &piece, 1, size);
	return stap_sendmsg(sk, &message, size);
}
#endif

static void build_proto(struct proto *proto, const struct proto *base)
{
	*proto = *base;
	proto->close = close;
	proto->shutdown = shutdown;
	proto->unhash = unhash;
	proto->release_cb = release_cb;
	proto->connect = connect;
	proto->disconnect = disconnect;
	proto->ioctl = ioctl;
	proto->getsockopt = getsockopt;
	proto->sendmsg = stap_sendmsg;
	proto->recvmsg = stap_recvmsg;
#ifdef STAP_HAS_SENDPAGE
	proto->sendpage = sendpage;
#endif
}

static void build_ops(struct proto_ops *to, const struct proto_ops *base)
{
	*to = *base;
	to->accept = accept;
	to->poll = poll;
	to->setsockopt = setsockopt;
	to->splice_read = stap_splice_read;
	to->mmap = sock_no_mmap;
	to->peek_len = peek_len;
#ifdef STAP_TCP_HAS_PEEK_OFF
	to->set_peek_off = stap_set_peek_off;
#endif
	to->read_sock = no_read_sock;
	to->read_skb = no_read_skb;
	to->sendmsg_locked = no_sendmsg_locked;
#ifdef STAP_HAS_SENDPAGE
	to->sendpage_locked = no_sendpage_locked;
#endif
}

void stap_proto_put_on(struct sock *sk)
{
	const int family = stap_family_of(sk);

	mutex_lock(&ops_mutex);
	if (!ops[family].poll) {
		stap_base_set_ops(family, sk->sk_socket->ops);
		build_ops(&ops[family], stap_base_ops(sk));
	}
	mutex_unlock(&ops_mutex);
	put_on(sk);
	stap_base_use_gate(sk);
}

/*
 * With the spinlock of the socket's lock. Who accepts by other functions than TCP's (a listener of
 * MPTCP, to which it has come by net.ipv4.tcp_migrate_req) may give it TCP's after this, in the
 * place of ours, so there must be nothing to read by them. As for what a listener forgets, TCP's
 * disconnect() will do with bottom halves off.
 */
static void release_newborn(struct sock *sk)
{
	if (sk->sk_socket) {
		const struct proto_ops *given = sk->sk_socket->ops;

		put_on(sk);
		if (given != stap_base_ops(sk) && given != &ops[stap_family_of(sk)])
			disconnect(sk, O_NONBLOCK);
	}
	release_cb(sk);
}

int __init stap_proto_init(void)
{
	int i;

	build_proto(&protos[STAP_V4], &tcp_prot);
	build_proto(&protos[STAP_V6], &tcpv6_prot);
	for (i = 0; i < STAP_FAMILIES; i++) {
		stap_newborn[i] = protos[i];
		stap_newborn[i].release_cb = release_newborn;
	}
	return stap_base_init();
}
