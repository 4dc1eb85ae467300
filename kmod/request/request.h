/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A request: one thing asked of the helper, by a caller who waits for the answer, or as
 * a notice that nobody waits for. The object only; queue.h moves it around.
 */
#ifndef KMOD_REQUEST_REQUEST_H
#define KMOD_REQUEST_REQUEST_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include <bpfilter/pipe.h>

#include "request/gift.h"

struct bpfilter_check_list;
struct bpfilter_instances;
struct bpfilter_version;
struct net;

/* What a setsockopt may be at most, as XT_MAX_TABLE_SIZE is for ip_tables. */
#define BPFILTER_PAYLOAD_MAX (512U * 1024 * 1024)

enum bpfilter_request_state {
	REQUEST_NEW,
	REQUEST_QUEUED, /* may be read by the helper */
	REQUEST_HELD, /* a thread of the helper is inside read, write or ioctl with it */
	REQUEST_PROCESSING, /* the helper has it */
	REQUEST_DONE,
};

/* What it has to do with a turn; see turn.h. */
enum bpfilter_turn {
	TURN_NONE,
	TURN_WAITS, /* in its line */
	TURN_RUNS, /* with the helper */
};

struct bpfilter_request {
	refcount_t refs;
	struct completion done;

	/* Under the lock of the queue. */
	struct list_head list;
	struct list_head in_line; /* of its namespace; see turn.h */
	enum bpfilter_turn turn;
	enum bpfilter_request_state state;
	bool cancelled; /* its caller was killed */
	bool committed; /* IOC_COMMIT was done on it */
	bool expired; /* took longer than the deadline */
	unsigned int deaths; /* of helpers that had read it */
	unsigned long since; /* jiffies when it was queued, or read */
	int error;

	/* Fixed once it is queued. */
	struct bpfilter_request_header header;
	unsigned long weight; /* its bytes and those of its reply */
	struct net *net; /* a reference, or NULL */
	u8 head[sizeof(struct bpfilter_get_entries)];
	u32 head_length;

	/* Belongs to who holds the request; COMMIT moves it into a version. */
	void *body; /* kvmalloc'ed, goes out behind head */
	u32 body_length;

	/* Of REPLAY and OLD_COUNTERS: what IOC_KEPT gives. The body may be its payload. */
	struct bpfilter_version *version;
	/* Of REPLACE: what its COMMIT took out of force. */
	struct bpfilter_version *retired;

	/* Of REPLACE: what IOC_CHECK asked for, by who holds it; see check.h. */
	struct bpfilter_check_list *check;
	/* What became of it, for the REPLACE that is CHECKED: its caller's, or its COMMIT's. */
	struct bpfilter_instances *instances;
	unsigned long instance_bytes; /* fixed, as above */

	/* Of TAP: what IOC_GIVE gave. */
	struct bpfilter_gifts gifts;

	void *reply; /* kvmalloc'ed, header.reply_limit bytes */
	u32 reply_length;
};

/* Takes over the reference to `net` (which may be NULL), also when it fails. */
struct bpfilter_request *bpfilter_request_new(enum bpfilter_opcode opcode, struct net *net,
					      u8 family);
void bpfilter_request_set_head(struct bpfilter_request *request, const void *head, u32 length);
int bpfilter_request_reserve_reply(struct bpfilter_request *request, u32 limit);
struct bpfilter_request *bpfilter_request_get(struct bpfilter_request *request);
void bpfilter_request_put(struct bpfilter_request *request);
/* Another helper knows nothing of what was to be checked. By who holds the request. */
void bpfilter_request_forget_check(struct bpfilter_request *request);
void bpfilter_requests_put(struct list_head *requests);

/* The bytes behind `head`: the request's own body, or the payload of its version. */
const void *bpfilter_request_body(const struct bpfilter_request *request);
/* What the caller gets for an error of the helper's, which some never are. */
int bpfilter_request_error(int error);
/* The name of the table that it is about, or NULL. */
const char *bpfilter_request_table(const struct bpfilter_request *request);

#endif /* KMOD_REQUEST_REQUEST_H */
