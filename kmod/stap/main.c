// SPDX-License-Identifier: GPL-2.0
/*
 * stap.ko: BPF programs on both directions of a TCP socket. uapi/stap.h is its manual.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <net/tcp.h>

#include "stap/alias.h"
#include "stap/base.h"
#include "stap/callers.h"
#include "stap/child.h"
#include "stap/end.h"
#include "stap/gate.h"
#include "stap/incoming.h"
#include "stap/programs.h"
#include "stap/proto.h"
#include "stap/send.h"
#include "stap/sockopt.h"
#include "stap/stap.h"
#include "stap/view.h"

unsigned int stap_max_message = 16 << 20;
module_param_named(max_message, stap_max_message, uint, 0644);
MODULE_PARM_DESC(max_message, "bytes of the longest message; a longer one ends its connection");

void stap_free(struct stap *tap)
{
	if (refcount_dec_and_test(&tap->references))
		kfree_rcu(tap, rcu);
}

/* A test has it fail, wherever it is called from: tests/kmod/no_memory. */
noinline struct stap *stap_new(struct sock *sk, gfp_t gfp)
{
	struct stap *tap = kzalloc(sizeof(*tap), gfp | __GFP_ACCOUNT);

	if (!tap)
		return NULL;
	refcount_set(&tap->references, 1);
	tap->sk = sk;
	tap->data_ready = stap_base_data_ready();
	mutex_init(&tap->reader);
	init_waitqueue_head(&tap->senders);
	stap_incoming_init(tap);
	stap_gate_prepare(tap);
	stap_end_prepare(tap);
	return tap;
}

static struct tcp_ulp_ops ulp;

bool stap_is_ours(const struct sock *sk)
{
	return READ_ONCE(inet_csk(sk)->icsk_ulp_ops) == &ulp;
}

void stap_make_ours(struct sock *sk, struct stap *tap)
{
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, tap);
	WRITE_ONCE(inet_csk(sk)->icsk_ulp_ops, &ulp);
}

void stap_begin(struct stap *tap)
{
	struct sock *sk = tap->sk;

	if (stap_is_tapped(&tap->recv) && sk->sk_state != TCP_LISTEN &&
	    !skb_queue_empty(&sk->sk_receive_queue))
		stap_gate_advance(tap);
}

/*
 * TCP makes children of a listener without its lock. The first that knows of the tap is made after
 * all that do not are in the accept queue, and they are given theirs; only then is there anything
 * else to be copied.
 */
static void adopt_children(struct sock *sk)
{
	if (sk->sk_state != TCP_LISTEN)
		return;
	synchronize_rcu();
	stap_child_adopt_all(sk);
}

/* A listener's waiters get children that are tapped, so they may stay. */
static int callers(struct sock *sk)
{
	return sk->sk_state == TCP_LISTEN ? 0 : stap_callers(sk);
}

/*
 * Who found it listening may be about to call its data_ready() without its lock; what has listened
 * has this flag for ever. If it does so later, connect() waits: see proto.c.
 */
static void await_who_found_it_listening(struct sock *sk)
{
	if (sk->sk_state != TCP_LISTEN && sock_flag(sk, SOCK_RCU_FREE))
		synchronize_rcu();
}

/* With the socket locked, and a reference to the module. */
static int attach(struct sock *sk, struct stap_programs *programs)
{
	struct stap *tap;
	int error;

	if (!stap_is_plain(sk))
		return -EOPNOTSUPP;
	error = programs ? callers(sk) : 0;
	if (error)
		return error;
	tap = stap_new(sk, GFP_KERNEL);
	if (!tap)
		return -ENOMEM;
	if (programs)
		stap_programs_install(tap, programs);
	await_who_found_it_listening(sk);
	stap_make_ours(sk, tap);
	adopt_children(sk);
	stap_proto_put_on(sk);
	/* Upper layers have it not, unless they say so; who listens passes it on. */
	set_bit(SOCK_SUPPORT_ZC, &sk->sk_socket->flags);
	stap_begin(tap);
	return 0;
}

/* TCP_ULP; with the socket locked. */
static int init(struct sock *sk)
{
	return attach(sk, NULL);
}

/* What TCP_ULP does. */
static int attach_at_once(struct sock *sk, struct stap_programs *programs)
{
	int error;

	if (inet_csk(sk)->icsk_ulp_ops)
		return -EEXIST;
	error = attach(sk, programs);
	if (error)
		return error;
	__module_get(THIS_MODULE);
	return 0;
}

static int install(struct sock *sk, struct stap_programs *programs)
{
	struct stap *tap = stap_of(sk);
	int error;

	if (!tap)
		return -ECONNABORTED;
	if (rcu_access_pointer(tap->programs))
		return -EEXIST;
	if (!programs)
		return 0;
	error = callers(sk);
	if (error)
		return error;
	stap_programs_install(tap, programs);
	adopt_children(sk);
	stap_begin(tap);
	return 0;
}

#define LOCK_TRIES 50 /* of a tick each */

/* Who waits for the lock is let through first, but not without end. */
static int locked(struct sock *sk, struct stap_programs *programs,
		  int (*function)(struct sock *sk, struct stap_programs *programs))
{
	int i, error;

	for (i = 0; i < LOCK_TRIES; i++) {
		lock_sock(sk);
		error = function(sk, programs);
		release_sock(sk);
		if (error != -EAGAIN)
			return error;
		schedule_timeout_uninterruptible(1);
	}
	return -EBUSY;
}

int stap_attach(struct sock *sk, struct stap_programs *programs)
{
	return locked(sk, programs, attach_at_once);
}

int stap_install(struct sock *sk, struct stap_programs *programs)
{
	return locked(sk, programs, install);
}

/*
 * The end of a socket, with bottom halves off. close() was before, unless nobody accepted it. The
 * tap keeps its programs, for who is looking at it; TCP puts the module, which waits for them.
 */
static void release(struct sock *sk)
{
	struct stap *tap = stap_of(sk);

	stap_base_put_back(sk);
	if (!tap)
		return;
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	stap_programs_put(rcu_access_pointer(tap->programs));
	stap_free(tap);
}

/* For sock_diag; nobody holds the socket's lock. */
static int get_info(struct sock *sk, struct sk_buff *skb)
{
	const struct stap *tap;
	struct stap_info info;
	int error = 0;

	rcu_read_lock();
	tap = rcu_dereference(inet_csk(sk)->icsk_ulp_data);
	if (tap) {
		info = stap_info_of(tap);
		error = nla_put(skb, STAP_DIAG_INFO, sizeof(info), &info);
	}
	rcu_read_unlock();
	return error;
}

static size_t get_info_size(const struct sock *sk)
{
	return nla_total_size(sizeof(struct stap_info));
}

static struct tcp_ulp_ops ulp __read_mostly = {
	.name = "stap",
	.owner = THIS_MODULE,
	.init = init,
	.clone = stap_child_clone,
	.release = release,
	.get_info = get_info,
	.get_info_size = get_info_size,
};

static int __init stap_init(void)
{
	int error = stap_end_init();

	if (error)
		return error;
	error = stap_gate_init();
	if (error)
		goto err_gate;
	error = stap_view_init();
	if (error)
		goto err_view;
	error = stap_proto_init();
	if (error)
		goto err_ulp;
	error = tcp_register_ulp(&ulp);
	if (error)
		goto err_ulp;
	error = stap_sockopt_init();
	if (error)
		goto err_sockopt;
	stap_alias_init();
	return 0;

err_sockopt:
	tcp_unregister_ulp(&ulp);
err_ulp:
	stap_view_exit();
err_view:
	stap_gate_exit();
err_gate:
	stap_end_exit();
	return error;
}

/* No socket is tapped: each holds the module. */
static void __exit stap_exit(void)
{
	stap_alias_exit();
	stap_sockopt_exit();
	tcp_unregister_ulp(&ulp);
	stap_gate_exit();
	stap_end_exit();
	rcu_barrier();
	stap_view_exit();
}

module_init(stap_init);
module_exit(stap_exit);

MODULE_DESCRIPTION("BPF parser and verdict on both directions of a TCP socket");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
MODULE_ALIAS_TCP_ULP("stap");
