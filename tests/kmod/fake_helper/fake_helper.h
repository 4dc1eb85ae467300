/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A helper for the tests of bpfilter.ko: speaks the pipe, knows one table that never
 * changes, and misbehaves as it is told.
 *
 * It is told by lines "OPCODE ACTION [NUMBER]" in /run/fake_helper/orders, read anew for
 * every request; without a line for its opcode a request is answered well. What it reads
 * and what its ioctls give is appended to /run/fake_helper/log, a line each, before it is
 * answered; only a reply's own failure comes behind it.
 */
#ifndef FAKE_HELPER_H
#define FAKE_HELPER_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <bpfilter/xdp.h>

#define PIPE 0
#define ENTRIES 4
#define ENTRIES_SIZE 632 /* what a fresh filter table has */

struct iovec;

/* orders.c: what it is told, and what it tells. */
extern char action[32]; /* for the request at hand */
extern int number;

void read_orders(const char *opcode);
bool told(const char *word);
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
_Noreturn void give_up(const char *why);
_Noreturn void crash(void);
_Noreturn void abort_as_told(void);

/* reply.c: whether it was taken. */
bool reply_with(const struct bpfilter_request_header *request, int error, const char *message,
		const void *payload, size_t size);
/* Replies that are wrong. */
void reply_malformed(const struct bpfilter_request_header *request);
void reply_too_much(const struct bpfilter_request_header *request);
/* Things that no reply is; the request is then to be answered well. */
void make_noise(const struct bpfilter_request_header *request);

/* bpf.c */
int load_program(enum bpf_prog_type type, int result);
int load_direct_access(void); /* reads the packet in a way that hook.c does not prepare for */
int load_marking(int mark); /* gives the packet a mark, and lets it go on */
/* Programs that would harm a netfilter hook, and accept. */
int load_calling(int helper);
int load_calling_below(int helper);
int load_tunnel_key(void);
int load_tail_call(int programs);
int load_reading(int place); /* bytes into struct __sk_buff */
int load_writing(int place);
int create_map(enum bpf_map_type type, unsigned int value_size);

/* types.c */
int create_typed_map(void);
int load_extensible(void);
void extend(int program); /* another function in the place of one of that program */

/* commit.c: a table whose programs do `verdict` at INPUT, FORWARD and OUTPUT. */
int commit(const struct bpfilter_request_header *request, const char *table, int verdict);
unsigned int count_kept(const struct bpfilter_request_header *request);

/* records.c: a REPLACE that is to be checked, and one that was. */
bool check_entries(const struct bpfilter_request_header *request, const void *payload);
int commit_checked(const struct bpfilter_request_header *request, const void *payload);

/* links.c: told "link_WHAT [NUMBER]", it looks, attaches and detaches before it answers. */
void try_links(const struct bpfilter_request_header *request);

/* answer.c */
void answer_well(const struct bpfilter_request_header *request, const void *payload);

/*
 * absent.c: memory that is not there. Who touches it, the kernel on our behalf for one, is
 * kept waiting, until somebody is told "FAULT give" (there is memory now, zeros) or "FAULT
 * take" (there will be none: EFAULT).
 */
struct absent {
	char *page; /* absent; the bytes before it are there */
	int userfaultfd;
};

struct absent absent_new(void);
void absent_wait(const struct absent *absent); /* until it is touched, and notes it */
void absent_settle(const struct absent *absent); /* as it is told to */

/*
 * inside.c: a thread of ours is kept waiting inside the pipe. A listing is given from absent
 * memory, and meanwhile everything else tried with the same id; the next request is read
 * into absent memory.
 */
void reply_from_absent(const struct bpfilter_request_header *request);
void read_into_absent(void);
/* A process of ours is kept waiting there with a listing, and nobody kills it when the helper dies. */
_Noreturn void outlive(const struct bpfilter_request_header *request);

#endif /* FAKE_HELPER_H */
