// SPDX-License-Identifier: GPL-2.0
/*
 * stap.ko: BPF programs on both directions of a TCP socket. uapi/stap.h is its manual.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <net/tcp.h>

#include "alias.h"
#include "gate.h"
#include "program.h"
#include "proto.h"
#include "send.h"
#include "sockopt.h"
#include "stap.h"
#include "view.h"

unsigned int stap_max_message = 16 << 20;
module_param_named(max_message, stap_max_message, uint, 0644);
MODULE_PARM_DESC(max_message, "bytes of the longest message; a longer one ends its connection");

static struct workqueue_struct *abort_queue;

static void put(struct stap *tap)
{
	if (refcount_dec_and_test(&tap->references))
		kfree_rcu(tap, rcu);
}

/*
 * As `ss -K` would: a RST to the other side, the error to ours. It locks the socket itself, and
 * does nothing if both sides have ended it already; then the error is all that is left to do.
 */
static void abort_connection(struct work_struct *work)
{
	struct stap *tap = container_of(work, struct stap, abort);
	struct sock *sk = tap->sk;

	/* Not if the socket was disconnected meanwhile, and is another connection's. */
	if (READ_ONCE(tap->ending) && tcp_abort(sk, tap->error)) {
		lock_sock(sk);
		if (!sock_flag(sk, SOCK_DEAD)) {
			WRITE_ONCE(sk->sk_err, tap->error);
			sk_error_report(sk);
		}
		release_sock(sk);
	}
	put(tap);
	sock_put(sk);
}

void stap_end(struct stap *tap)
{
	if (!READ_ONCE(tap->error) || xchg(&tap->ending, true))
		return;
	sock_hold(tap->sk);
	refcount_inc(&tap->references);
	queue_work(abort_queue, &tap->abort);
}

/*
 * What nobody has accepted must not be locked by anybody but its listener (that is a WARN in
 * inet_csk_listen_stop()). It ends when somebody first uses it, or with the listener.
 */
void stap_fail(struct stap *tap, int error)
{
	if (tap->error)
		return;
	WRITE_ONCE(tap->error, error);
	smp_mb(); /* who gets the socket after this sees the error */
	if (READ_ONCE(tap->sk->sk_socket))
		stap_end(tap);
}

static struct stap *new_tap(struct sock *sk, void (*data_ready)(struct sock *sk), gfp_t gfp)
{
	struct stap *tap = kzalloc(sizeof(*tap), gfp | __GFP_ACCOUNT);

	if (!tap)
		return NULL;
	refcount_set(&tap->references, 1);
	tap->sk = sk;
	tap->data_ready = data_ready;
	mutex_init(&tap->reader);
	init_waitqueue_head(&tap->senders);
	stap_gate_init(tap);
	INIT_WORK(&tap->abort, abort_connection);
	return tap;
}

/* TCP_ULP; with the socket locked. */
static int init(struct sock *sk)
{
	struct stap *tap;

	if (!stap_is_plain(sk))
		return -EOPNOTSUPP;
	tap = new_tap(sk, sk->sk_data_ready, GFP_KERNEL);
	if (!tap)
		return -ENOMEM;
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, tap);
	stap_proto_put_on(sk);
	/* Upper layers have it not, unless they say so; who listens passes it on. */
	set_bit(SOCK_SUPPORT_ZC, &sk->sk_socket->flags);
	return 0;
}

int stap_install(struct sock *sk, struct bpf_prog *program[STAP_PROGRAM_COUNT])
{
	struct stap *tap = stap_of(sk);

	if (!tap)
		return -ECONNABORTED;
	if (stap_is_tapped(&tap->send) || stap_is_tapped(&tap->recv))
		return -EEXIST;
	stap_program_install(&tap->send, program[0], program[1]);
	stap_program_install(&tap->recv, program[2], program[3]);
	/* Urgent data are in the stream, where they are judged. */
	if (stap_is_tapped(&tap->recv))
		sock_set_flag(sk, SOCK_URGINLINE);
	/* What has come already is not exempt. */
	if (stap_is_tapped(&tap->recv) && sk->sk_state != TCP_LISTEN &&
	    !skb_queue_empty(&sk->sk_receive_queue))
		stap_gate_advance(tap);
	return 0;
}

static void inherit(struct stap_direction *child, const struct stap_direction *parent)
{
	stap_program_install(child, stap_program_ref(parent->parse),
			     stap_program_ref(parent->verdict));
}

/*
 * A listener's child, in softirq. It has the listener's functions, and what it got as its data
 * is the listener's tap. Without memory for its own it has none, and can neither read nor write.
 */
static void clone(const struct request_sock *request, struct sock *sk, const gfp_t gfp)
{
	const struct stap *parent = stap_of(sk);
	struct stap *tap = new_tap(sk, parent->data_ready, gfp);

	__module_get(THIS_MODULE);
	/* Read when its memory is freed, and in TIME_WAIT, when this module may be gone. */
	sk->sk_prot_creator = stap_base(sk);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, tap);
	if (!tap)
		return;
	inherit(&tap->send, &parent->send);
	inherit(&tap->recv, &parent->recv);
}

/* The end of a socket, with bottom halves off. close() was before, unless nobody accepted it. */
static void release(struct sock *sk)
{
	struct stap *tap = stap_of(sk);

	stap_proto_take_off(sk);
	if (!tap)
		return;
	stap_program_put(tap->send.parse);
	stap_program_put(tap->send.verdict);
	stap_program_put(tap->recv.parse);
	stap_program_put(tap->recv.verdict);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	put(tap);
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
	.clone = clone,
	.release = release,
	.get_info = get_info,
	.get_info_size = get_info_size,
};

static int __init stap_init(void)
{
	int error = -ENOMEM;

	abort_queue = alloc_workqueue("stap", 0, 0);
	if (!abort_queue)
		return error;
	error = stap_view_init();
	if (error)
		goto err_view;
	stap_proto_init();
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
	destroy_workqueue(abort_queue);
	return error;
}

/* No socket is tapped: each holds the module. */
static void __exit stap_exit(void)
{
	stap_alias_exit();
	stap_sockopt_exit();
	tcp_unregister_ulp(&ulp);
	destroy_workqueue(abort_queue);
	rcu_barrier();
	stap_view_exit();
}

module_init(stap_init);
module_exit(stap_exit);

MODULE_DESCRIPTION("BPF parser and verdict on both directions of a TCP socket");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
MODULE_ALIAS_TCP_ULP("stap");
