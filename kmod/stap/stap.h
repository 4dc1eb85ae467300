/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tap of a socket, and what the parts of this module are to each other:
 *
 *   main     the module, and "stap" as an upper layer protocol: attach and release
 *   callers  who is in the middle of a call when a socket is to be tapped
 *   child    what a listener's children inherit
 *   sockopt  the socket options by which a tap gets its programs
 *   proto    the functions of a tapped socket in place of TCP's
 *   policy   programs made by the helper, as a policy says
 *   charge   and who pays for them
 *   alias    SO_ULP at SOL_SOCKET, and whether it is in force
 *   option   the BPF programs that make it
 *   cgroup   and how they get to the root of the control groups
 *   ask      the way to the helper, through bpfilter.ko
 *   programs the four BPF programs of a tap
 *   program  one of them and its run
 *   view     what a program sees: one message as an skb of its own
 *   gate     incoming: how far the application may read
 *   incoming the bytes of that
 *   room     memory and window for a message that is not all there
 *   recv     the application reads
 *   send     the application writes
 *   stretch  some of that: judged, and what passes sent on
 *   buffer   what was written and not judged yet
 *   give     what has passed, to TCP
 */
#ifndef KMOD_STAP_H
#define KMOD_STAP_H

#include <linux/bvec.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/inet_connection_sock.h>
#include <net/sock.h>

#include <stap.h>

struct bpf_prog;
struct stap_programs;
struct stap_view;

#define STAP_PROGRAM_COUNT 4 /* in the order of struct stap_params */

/* The three numbers are read by a program of option.c; see there. */
struct stap_direction {
	struct bpf_prog *parse;
	struct bpf_prog *verdict;
	bool only_looks; /* neither changes what it sees */
	u32 need; /* length of the message that has begun; 0: not known */
	u32 done; /* bytes of it that the parser need not see again */
	u32 usual; /* length of the last one */
	u64 messages;
	u64 bytes;
	u64 dropped;
};

/* Bytes of a direction, wherever they are; a part of what knows that. */
struct stap_source {
	struct sock *sk;
	struct stap_direction *direction;
	/* Puts `size` bytes from `offset` on into the view. 0 or an errno. */
	int (*fill)(const struct stap_source *source, struct stap_view *view, u32 offset,
		    u32 size);
};

/* What was sent and not yet judged, in pages of ours. */
struct stap_buffer {
	struct bio_vec *piece;
	u32 first; /* of the pieces in use */
	u32 count; /* behind the last */
	u32 room; /* pieces allocated */
	u32 size; /* bytes */
	struct page_frag space; /* its own, for what is not next to what is pending */
};

/* How far the end is of a connection that failed. */
enum stap_ending {
	STAP_GOES_ON,
	STAP_DUE,
	STAP_ENDED, /* or somebody is about it, holding `ends` */
};

/*
 * In icsk_ulp_data. Changed under the socket's lock; limit is read without. Freed after an RCU
 * grace period.
 */
struct stap {
	struct sock *sk;
	void (*data_ready)(struct sock *sk);
	/* Set once, with all of them in the directions. Children read it without a lock. */
	struct stap_programs __rcu *programs;
	int error; /* positive; nothing passes any more */
	int ending; /* enum stap_ending */

	struct stap_direction recv;
	struct stap_source incoming;
	bool listened; /* and TCP may still call data_ready() without the lock; until it connects */
	bool started; /* limit has a meaning */
	u32 limit; /* sequence number up to which the application may read */
	u32 drop; /* bytes from there on that are to be taken away */
	u32 incomplete; /* bytes there were of the message there when they did not suffice */
	const struct sk_buff *cursor; /* where the last look began, while the gate moves; or NULL */
	u32 cursor_at; /* with this sequence number */
	bool has_mark; /* TCP's urgent byte was still to be read at the last look, */
	u32 mark; /* at this sequence number */
	bool unfinished; /* the gate was left where it could be moved on */
	struct work_struct go_on;
	struct mutex reader; /* one reader at a time spends what is between */

	struct stap_direction send;
	struct stap_buffer pending;
	u32 urgent; /* pending bytes up to the last that was sent as urgent; 0: none was */
	bool sender_waits; /* in the middle of a send; no other may go on */
	bool sender_refused; /* one was told to come back, and is to be told when */
	wait_queue_head_t senders; /* who wait for their turn */

	refcount_t references; /* of the socket, and of abort and go_on while they are queued */
	struct work_struct abort;
	struct mutex ends; /* one at a time brings the end, or waits for it */
	struct rcu_head rcu;
};

static inline struct stap *stap_of(const struct sock *sk)
{
	return rcu_dereference_raw(inet_csk(sk)->icsk_ulp_data);
}

static inline bool stap_is_tapped(const struct stap_direction *direction)
{
	return direction->parse || direction->verdict;
}

extern unsigned int stap_max_message;

/*
 * Both take the reference if they succeed, and lock the socket. ECONNABORTED if it has no tap,
 * for lack of memory; EBUSY if somebody is in the middle of a call who would go on without it.
 */
int stap_attach(struct sock *sk, struct stap_programs *programs);
int stap_install(struct sock *sk, struct stap_programs *programs);

/* Of this module, with or without a tap. */
bool stap_is_ours(const struct sock *sk);

/* For children; all with the socket locked. */
struct stap *stap_new(struct sock *sk, gfp_t gfp);
void stap_free(struct stap *tap);
void stap_make_ours(struct sock *sk, struct stap *tap);
/* Judges what has come before there were programs. */
void stap_begin(struct stap *tap);

#endif /* KMOD_STAP_H */
