/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * stap, the socket tap: BPF programs that see every message a TCP socket sends or receives,
 * before its peer or its application does, and decide about it.
 *
 * ATTACHING. A socket is tapped for ever; its file descriptors, in whatever process, are
 * tapped with it. What is accepted from a listening socket from then on is tapped by the same
 * programs: also what connected before, and by whoever waits in accept() already. Two ways,
 * natively and from 32-bit programs alike:
 *
 *   setsockopt(fd, SOL_TCP, TCP_ULP, "stap", 4);
 *   setsockopt(fd, SOL_STAP, STAP_PROGRAMS, &params, sizeof(params));
 *
 * or both at once:
 *
 *   struct { struct ulp_config config; struct stap_params params; } tap;
 *   setsockopt(fd, SOL_IP, STAP_SO_ULP, &tap, sizeof(tap));      also for IPv6 sockets
 *
 * of which the latter knows every upper layer protocol by its name ("tls" too, without
 * parameters). What fails leaves the socket as it was.
 *
 *   setsockopt(fd, SOL_SOCKET, SO_ULP, &tap, sizeof(tap));
 *
 * is the same once more, and so is the number 60 that SO_ULP had in the RFC (with 16 bytes or
 * more; SO_ZEROCOPY has that number today), and getsockopt() with SO_ULP: for 64-bit programs
 * (on a 64-bit kernel), and where the module's parameter so_ulp has not been turned off, by two
 * BPF programs at the root of the control groups. The one for getsockopt() is there from the first
 * time on that a socket gets programs, or SO_ULP is set.
 *
 *   EBADF       a descriptor is none
 *   EINVAL      not a program of type SOCKET_FILTER or SK_SKB; a length other than stated; a
 *               policy that makes no sense (the kernel log has a sentence about it)
 *   ENOPROTOOPT not a TCP socket, or one of MPTCP
 *   EOPNOTSUPP  AF_UNIX, which has no such options at all; a TCP socket of another kind: in a
 *               sockmap, in repair, that SMC or another part of the kernel has for itself
 *   EEXIST      there is an upper layer protocol already; STAP_PROGRAMS: programs already
 *   EBUSY       a call is under way whose bytes would go around the programs: somebody waits for
 *               data, for room or for the connection. See below
 *   ENOSPC      for a policy: its owner's have as much memory as policy_memory allows
 *   EPERM       the caller may not use the program (see bpf(2)); for a policy: no CAP_NET_ADMIN
 *               in the user namespace of the socket's network namespace
 *   ENOENT      for a policy: bpfilter.ko or its helper, who make the programs, are not there
 *
 * PROGRAMS. A program is called with one message as its packet: byte 0 is the message's first,
 * and skb->len the message's length. A parser, which finds out that length, is called with what
 * there is so far, from the message's first byte on; that may be more than the message, or only
 * the beginning of what there is, all of which it gets if it asks for more. It returns
 *
 *   > 0  the length of the message in bytes. It is called no more until that has come.
 *   0    more is needed to tell. It is called again with more, when more has come.
 *   < 0  no message begins so: the connection ends with that errno, or with EPROTO if it is none
 *        that applications know (below -EHWPOISON), or one for which they call again (EINTR,
 *        EAGAIN).
 *
 * A parser that searches would do so from the first byte on each time. If it writes into skb->cb[0]
 * with how many of the message's first bytes it is done, and returns 0, its next packet begins
 * behind these, and has their number in cb[0], which is 0 otherwise. The length it returns is
 * that of the message nevertheless. (A program of type SK_SKB can only read it.)
 *
 * Without a parser a message is what one send brought (what it took, if it does not wait; the
 * pieces that the kernel makes, of sendfile() and splice(); up to max_message at a time), or what
 * has come from the network since the last message. The verdict program is called once for each
 * whole message and returns one of enum stap_verdict; without one all messages pass. What a program
 * of type SK_SKB writes into its packet is gone afterwards.
 *
 * POLICIES. Who has no programs says what they would do, and is given programs that do it:
 *
 *   setsockopt(fd, SOL_STAP, STAP_POLICY, policy, size);
 *
 * or a policy behind ulp_config in the place of stap_params. It is a struct stap_policy and right
 * behind it the rules, first those for what is sent, then those for what is received. Numbers are
 * in host byte order; what is compared with a message is bytes. The programs of equal policies
 * are the same ones. All that root of user namespaces has policies for, who is one user outside of
 * them, may take policy_memory bytes together (a parameter of the module, 8 MiB): programs that
 * several of his sockets have count once.
 *
 * MEANING. DROP takes exactly that message out of the stream: for a sender it has been sent.
 * DISCONNECT ends the connection: our side gets ECONNABORTED, the other one a RST, and not a
 * byte of that message or after it goes on. So does a message longer than the module's
 * parameter max_message (EMSGSIZE), and one that is not complete when the stream ends, be it by
 * the peer's FIN or by our own shutdown() or close(): what nobody judged does not pass, and a
 * stream that lacks it does not end as if it were whole.
 *
 * What is sent is copied before it is judged, also by sendfile() and splice(), and by MSG_ZEROCOPY
 * and io_uring's SEND_ZC, which are told so (SO_EE_CODE_ZEROCOPY_COPIED). A message that passes is
 * given to TCP as a whole: only between messages, and while one comes, is a lack of room waited for
 * or told (EAGAIN). Calls that send at the same time do so one after the other. Urgent data are
 * judged like any other and are read, or dropped, as the stream's (SO_OOBINLINE is set, and set
 * again when more comes); a receiver's MSG_OOB is EINVAL. What is received behind a dropped message
 * is judged when all before it has been read: until then SO_RCVLOWAT, or a peek, is content with
 * what there is. Refused with EOPNOTSUPP, since they would go around the programs:
 * TCP_ZEROCOPY_RECEIVE, TCP_REPAIR, MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, and with ENODEV mmap().
 *
 * A call goes on as it began. So a socket gets no programs (EBUSY) while anybody waits in one that
 * sends, receives or connects, in whatever process; who polls, or waits in accept(), is in nobody's
 * way, since he comes back to the tapped socket, or with one. What is not seen is a call that
 * another thread has begun but whose first step, to lock the socket, it has not taken: it is
 * as if it had come before, and goes on without the tap until it returns. To be sure of that, too,
 * tap before others use the socket, or hold them still (stapctl does).
 */
#ifndef UAPI_STAP_H
#define UAPI_STAP_H

#include <linux/types.h>

/* "ST". Of levels and of options, where the kernel uses small numbers. */
#define SOL_STAP 0x5354
#define STAP_SO_ULP 0x5354

/* At SOL_SOCKET. */
#ifndef SO_ULP
#define SO_ULP STAP_SO_ULP
#endif

/* Options of SOL_STAP. Programs come once per socket, whether as such or by a policy. */
#define STAP_PROGRAMS 1 /* set: struct stap_params */
#define STAP_INFO 2 /* get: struct stap_info, or as much of it as there is room */
#define STAP_POLICY 3 /* set: struct stap_policy and its rules */

#define ULP_NAME_MAX 16

/* The name is terminated. Parameters of the protocol follow. */
struct ulp_config {
	char ulp_name[ULP_NAME_MAX];
};

/* Descriptors of BPF programs, or -1. A direction with neither program is not tapped. */
struct stap_params {
	__s32 bpf_send_parse_fd;
	__s32 bpf_send_verdict_fd;
	__s32 bpf_recv_parse_fd;
	__s32 bpf_recv_verdict_fd;
};

/* What a verdict program returns. Any other number disconnects. */
enum stap_verdict {
	STAP_OK = 0, /* BPF_OK */
	STAP_DROP = 2, /* BPF_DROP */
	STAP_DISCONNECT = 130, /* BPF_DISCONNECT of the RFC */
};

/* How the bytes of a direction are cut into messages. */
enum stap_framing_kind {
	STAP_UNTAPPED = 0, /* the direction is not tapped: all else is 0 */
	STAP_FRAMING_NONE = 1, /* what one send brought, or what has come from the network */
	STAP_FRAMING_LENGTH = 2, /* a field in the message's header tells */
	STAP_FRAMING_DELIMITER = 3, /* up to and including these bytes */
	STAP_FRAMING_FIXED = 4, /* always the same */
};

/* Of the field. */
enum stap_byte_order {
	STAP_BIG_ENDIAN = 0,
	STAP_LITTLE_ENDIAN = 1,
};

/*
 * What a kind has no use for is 0. A message longer than `maximum` ends the connection with
 * EMSGSIZE, a length field that is less than the header it counts with EPROTO.
 */
struct stap_framing {
	__u32 kind; /* enum stap_framing_kind */
	__u32 maximum; /* LENGTH, DELIMITER: bytes of the longest message; 0: max_message */
	__u32 size; /* FIXED: bytes of each message. LENGTH: of the header, 0: the field ends it */
	__u32 offset; /* LENGTH: of the field in the message */
	__u8 width; /* LENGTH: of the field, 1, 2, 4 or 8. DELIMITER: its bytes, 1 to 4 */
	__u8 order; /* LENGTH: enum stap_byte_order */
	__u8 whole; /* LENGTH: 1: the field counts the header as well, 0: what follows it */
	__u8 reserved;
	__u8 delimiter[4];
};

#define STAP_RULE_WIDTH 32
#define STAP_RULES_MAX 1024 /* for each direction */

/*
 * Matches a message that has `width` bytes at `offset` which equal `value` where `mask` has ones.
 * A value must have no ones where its mask has none, and nothing stands behind the width.
 */
struct stap_rule {
	__u32 offset;
	__u8 width; /* 1 to STAP_RULE_WIDTH */
	__u8 verdict; /* enum stap_verdict */
	__u16 reserved;
	__u8 mask[STAP_RULE_WIDTH];
	__u8 value[STAP_RULE_WIDTH];
};

/* The first rule that matches decides. */
struct stap_policy_direction {
	struct stap_framing framing;
	__u32 verdict; /* enum stap_verdict, if no rule matches */
	__u32 rules;
};

struct stap_policy {
	struct stap_policy_direction send;
	struct stap_policy_direction recv;
};

/* Of one direction. */
struct stap_direction_info {
	__u32 parse_id; /* of the programs, 0: none */
	__u32 verdict_id;
	__u64 messages; /* that passed */
	__u64 bytes; /* of these */
	__u64 dropped; /* messages */
};

struct stap_info {
	struct stap_direction_info send;
	struct stap_direction_info recv;
};

/*
 * An attribute of sock_diag(7): in INET_DIAG_ULP_INFO, beside INET_ULP_INFO_NAME, which is "stap"
 * (`ss -i` shows that). A struct stap_info. For who has CAP_NET_ADMIN.
 */
#define STAP_DIAG_INFO 0x1354

#endif /* UAPI_STAP_H */
