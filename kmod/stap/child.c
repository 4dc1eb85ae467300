// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/spinlock.h>
#include <net/request_sock.h>
#include <net/tcp.h>

#include "stap/base.h"
#include "stap/child.h"
#include "stap/gate.h"
#include "stap/programs.h"
#include "stap/stap.h"

/* A tap for a child, with the programs of its parent if that has some. */
static struct stap *tap_for(struct sock *sk, const struct stap *parent, gfp_t gfp)
{
	struct stap_programs *theirs, *programs;
	struct stap *tap;

	if (!parent)
		return NULL;
	tap = stap_new(sk, gfp);
	if (!tap)
		return NULL;
	rcu_read_lock();
	theirs = rcu_dereference(parent->programs);
	programs = stap_programs_get(theirs);
	rcu_read_unlock();
	if (programs) {
		stap_programs_install(tap, programs);
	} else if (theirs) { /* the listener is being closed */
		stap_free(tap);
		return NULL;
	}
	return tap;
}

/*
 * It is a copy of the listener, made while that may have been tapped, or closed, so all of it is
 * set anew. What it got as its data is the listener's tap, or NULL. If it has none of its own in
 * the end, it can neither read nor write.
 */
void stap_child_clone(const struct request_sock *request, struct sock *sk, const gfp_t gfp)
{
	struct stap *parent = stap_of(sk);
	struct stap *tap = NULL;

	/* Not if the listener was the last that was tapped; then it is gone, and TCP drops this. */
	if (try_module_get(THIS_MODULE)) {
		stap_base_put_on_newborn(sk);
		tap = tap_for(sk, parent, gfp);
	} else {
		stap_base_put_back(sk);
		inet_csk(sk)->icsk_ulp_ops = NULL;
	}
	/* Read when its memory is freed, and in TIME_WAIT, when this module may be gone. */
	sk->sk_prot_creator = stap_base(sk);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, tap);
}

/* With it locked. Who is no plain TCP (in a sockmap, say) is left alone. */
static void adopt(struct sock *sk, const struct stap *parent)
{
	struct stap *tap = stap_of(sk);
	struct stap_programs *programs;

	if (!stap_is_ours(sk)) {
		if (!stap_is_plain(sk))
			return;
		__module_get(THIS_MODULE);
		tap = NULL; /* a listener's, if anything */
		stap_make_ours(sk, tap);
		stap_base_put_on_newborn(sk);
	}
	if (!tap) {
		tap = tap_for(sk, parent, GFP_KERNEL);
		rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, tap);
	} else if (!rcu_access_pointer(tap->programs)) {
		programs = stap_programs_get(rcu_access_pointer(parent->programs));
		if (programs)
			stap_programs_install(tap, programs);
	}
	if (tap)
		stap_begin(tap);
}

/*
 * Only who has the listener locked takes some away; others are added behind them, and know of
 * their parent already.
 */
void stap_child_adopt_all(struct sock *listener)
{
	struct request_sock_queue *queue = &inet_csk(listener)->icsk_accept_queue;
	const struct stap *parent = stap_of(listener);
	const struct request_sock *request;

	spin_lock_bh(&queue->rskq_lock);
	for (request = queue->rskq_accept_head; request; request = request->dl_next) {
		struct sock *sk = request->sk;

		spin_unlock_bh(&queue->rskq_lock);
		lock_sock_nested(sk, SINGLE_DEPTH_NESTING);
		adopt(sk, parent);
		release_sock(sk);
		spin_lock_bh(&queue->rskq_lock);
	}
	spin_unlock_bh(&queue->rskq_lock);
}

int stap_child_adopt_accepted(struct sock *listener, struct sock *sk)
{
	const struct stap *parent = stap_of(listener);
	struct stap_programs *programs;
	int error;

	if (stap_is_ours(sk))
		return 0;
	/* For which there was no memory, as a child: it has nothing to pass on. */
	if (!parent)
		return -ECONNABORTED;
	programs = stap_programs_get(rcu_access_pointer(parent->programs));
	error = stap_attach(sk, programs);
	if (error)
		stap_programs_put(programs);
	return error ? -ECONNABORTED : 0;
}
