/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * stap, the socket tap: BPF programs that see every message a TCP socket sends or receives,
 * before its peer or its application does, and decide about it.
 *
 * ATTACHING. A socket is tapped for ever; its file descriptors, in whatever process, are
 * tapped with it. What a listening socket accepts from then on is tapped by the same programs.
 * Two ways, natively and from 32-bit programs alike:
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
 *   EBADF       a descriptor is none
 *   EINVAL      not a program of type SOCKET_FILTER or SK_SKB; a length other than stated
 *   ENOPROTOOPT not a TCP socket
 *   EOPNOTSUPP  a TCP socket of another kind: in a sockmap, of MPTCP or SMC, in repair
 *   EEXIST      there is an upper layer protocol already; STAP_PROGRAMS: programs already
 *   EPERM       the caller may not use the program (see bpf(2))
 *
 * PROGRAMS. A program is called with one message as its packet: byte 0 is the message's first,
 * and skb->len the message's length. A parser, which finds out that length, is called with what
 * there is so far, from the message's first byte on; that may be more than the message, or only
 * the beginning of what there is, all of which it gets if it asks for more. It returns
 *
 *   > 0  the length of the message in bytes. It is called no more until that has come.
 *   0    more is needed to tell. It is called again with more, when more has come.
 *   < 0  no message begins so: the connection ends with that errno.
 *
 * Without a parser a message is what one send brought, or what has come from the network since
 * the last message. The verdict program is called once for each whole message and returns one
 * of enum stap_verdict; without one all messages pass. What a program of type SK_SKB writes
 * into its packet is gone afterwards.
 *
 * MEANING. DROP takes exactly that message out of the stream: for a sender it has been sent.
 * DISCONNECT ends the connection: our side gets ECONNABORTED, the other one a RST, and not a
 * byte of that message or after it goes on. So does a message longer than the module's
 * parameter max_message (EMSGSIZE), and one that is not complete when the stream ends, be it by
 * the peer's FIN or by our own shutdown() or close(): what nobody judged does not pass, and a
 * stream that lacks it does not end as if it were whole.
 *
 * What is sent is copied before it is judged, also by sendfile() and splice(). Urgent data are
 * judged like any other and are read as the stream's (SO_OOBINLINE is set); a receiver's MSG_OOB
 * is EINVAL, and the connection ends if a message that is to be dropped contains them. Refused
 * with EOPNOTSUPP, since they would go around the programs: MSG_ZEROCOPY, TCP_ZEROCOPY_RECEIVE,
 * TCP_REPAIR, MSG_FASTOPEN, and with ENODEV mmap().
 */
#ifndef UAPI_STAP_H
#define UAPI_STAP_H

#include <linux/types.h>

/* "ST". Of levels and of options, where the kernel uses small numbers. */
#define SOL_STAP 0x5354
#define STAP_SO_ULP 0x5354

/* Options of SOL_STAP. */
#define STAP_PROGRAMS 1 /* set: struct stap_params. Once per socket. */
#define STAP_INFO 2 /* get: struct stap_info, or as much of it as there is room */

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

#endif /* UAPI_STAP_H */
