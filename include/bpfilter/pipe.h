/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pipe: requests from bpfilter.ko to its user-mode helper, and back.
 *
 * This header is the whole contract, with xdp.h, its part of XDP. Both sides include them
 * verbatim: the module (C) and the helper (C++). Nothing else crosses the boundary.
 *
 * SHAPE
 *   The helper finds the pipe as its descriptor 0. It is a message device in the
 *   manner of /dev/fuse:
 *
 *     read()   takes one whole request: struct bpfilter_request_header, then its payload.
 *              A buffer that is too small gives EMSGSIZE and leaves the request
 *              queued; ioctl(FIONREAD) tells the length of the next request
 *              (0 when there is none). With O_NONBLOCK an empty queue is EAGAIN.
 *     write()  gives one whole reply: struct bpfilter_reply_header, then `message_length`
 *              bytes of message, then the payload. writev() works. An id that is
 *              not being processed (its caller was killed, say) gives ENOENT and
 *              the reply is dropped; the helper goes on. A reply that is malformed
 *              gives EINVAL, and the request fails with EIO.
 *     poll()   EPOLLIN when a request waits, EPOLLHUP when the module is going.
 *     ioctl()  the BPFILTER_IOC_* below; they run in the helper's context. Only one
 *              thread at a time can be in write or ioctl with the same id: EBUSY.
 *
 *   End of file on read, or EPOLLHUP, means: exit. Descriptors 1 and 2 are the kernel
 *   log, for last words.
 *
 * BYTE ORDER AND LAYOUT
 *   Host byte order; both ends are one machine. Every structure here has the same
 *   layout for 32-bit and 64-bit builds of either side (naturally aligned, padding
 *   spelled out, sizes asserted in tests of both sides). Payloads that are iptables
 *   structures are byte for byte what the caller of setsockopt gave, but for the last
 *   byte of the table's name, which is NUL; of 32-bit callers, what they become natively.
 *   What the caller gave beyond the length that the structure tells is left out. Lengths
 *   have been checked, as ip_tables checks them.
 *
 * VERSIONS
 *   The first request on a new pipe is INIT; no other is sent before its reply.
 *   `major` differs: the helper answers EPROTO and the module gives it up. `minor`
 *   grows when something is added that the other side may ignore; the smaller of
 *   the two is in force. Nobody is refused for it: an opcode that an older helper
 *   does not know it answers with EINVAL, which its caller gets, and an ioctl that an
 *   older module does not know is ENOTTY.
 *     2.0  IOC_COMMIT_RECORDS and IOC_CHECK; settings have a rate and a form. What came with
 *          1.1 to 1.3 is there without being asked for.
 *     2.1  INIT tells what this kernel is lax about; IOC_ROOM. What 32-bit callers give is native,
 *          and programs are told to stop behind each rule (context.h).
 *
 * ORDER AND LIFETIME
 *   Ids are unique for the life of the module, never 0. Requests may be answered in any
 *   order. Of one namespace no more than one can be read before it is answered, and of
 *   all no more than the helper has threads: so none need wait inside the helper, and
 *   the deadline is for its work alone. Who stands behind namespaces (the machine's own
 *   user namespace, each user namespace that its root made, each other user) takes
 *   turns; only the machine's own may have all threads. For a new helper a REPLAY for
 *   every table in force comes before what callers in that namespace wait for. A
 *   request is cancelled when its caller is killed: one not yet read is withdrawn; for
 *   one that was read, COMMIT answers ECANCELED and changes nothing. A helper that
 *   takes longer than the deadline over one request is killed. When a helper dies,
 *   requests that it had read are given to its successor, unless they were committed (a
 *   REPLACE then has succeeded), are not repeatable (ADD_COUNTERS), or killed two
 *   helpers already: those fail with EIO.
 *   SETTINGS, NETNS_GONE and DEVICES are not repeated: INIT and the REPLAYs tell the
 *   successor how things are. So one may come for a namespace it never heard of.
 *
 * ERRORS
 *   `error` is 0 or a negative errno, as ip_tables would return it to the caller of
 *   setsockopt or getsockopt. ECHILD, EPIPE and ENOPROTOOPT never reach a caller.
 *   `message` is the sentence for the kernel log that goes with an error: printable
 *   UTF-8 without a newline, without a NUL, at most BPFILTER_MESSAGE_MAX bytes; the
 *   module prints it rate-limited.
 */
#ifndef BPFILTER_PIPE_H
#define BPFILTER_PIPE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define BPFILTER_PIPE_MAJOR 2
#define BPFILTER_PIPE_MINOR 1

#define BPFILTER_MESSAGE_MAX 240
#define BPFILTER_TABLE_NAME_LEN 32 /* XT_TABLE_MAXNAMELEN, NUL included */
#define BPFILTER_HOOKS_MAX 5 /* NF_INET_NUMHOOKS */
#define BPFILTER_KEPT_MAX 8
#define BPFILTER_GIFTS_MAX 4

/*
 * Opcodes. "Caller" is the process in setsockopt or getsockopt; its namespace is
 * `netns`, its protocol family `family`.
 */
enum bpfilter_opcode {
	/*
	 * in: bpfilter_init, out: bpfilter_init. No namespace.
	 */
	BPFILTER_OP_INIT = 1,
	/*
	 * A module parameter changed. in: bpfilter_settings. No namespace. A DEVICES for
	 * every namespace that asked for it follows, so that the change takes effect.
	 */
	BPFILTER_OP_SETTINGS = 2,
	/*
	 * in: bpfilter_table_name, out: struct ipt_getinfo (ip6t: same layout).
	 * Creates the table, with COMMIT, if the namespace has none of that name yet.
	 */
	BPFILTER_OP_GET_INFO = 3,
	/*
	 * in: bpfilter_get_entries, out: `size` bytes of entries with their counters.
	 * Creates the table as GET_INFO does.
	 */
	BPFILTER_OP_GET_ENTRIES = 4,
	/*
	 * in: struct ipt_replace and its entries as the caller gave them; the `counters`
	 * pointer in it is the caller's and must not be used. out: nothing. Success means
	 * that COMMIT was done, or CHECK: then the caller checks, and if all is right, the same
	 * comes again with BPFILTER_REQUEST_CHECKED. Old counters follow as a request of their own.
	 */
	BPFILTER_OP_REPLACE = 5,
	/*
	 * The counters of the table that a REPLACE took out of force, for its caller.
	 * in: bpfilter_count, out: `count` struct xt_counters, no more and no less. IOC_KEPT on
	 * this id gives the descriptors kept with *that* table; no packet changes them any more.
	 */
	BPFILTER_OP_OLD_COUNTERS = 6,
	/*
	 * in: struct xt_counters_info and its counters, as the caller gave them. out: nothing.
	 * Creates the table as GET_INFO does.
	 */
	BPFILTER_OP_ADD_COUNTERS = 7,
	/*
	 * A table is in force that this helper does not know, because it was committed
	 * through its predecessor. in: bpfilter_table_name, then the payload of the REPLACE
	 * that brought it (nothing, if it is the first contents). out: nothing. IOC_KEPT
	 * on this id gives the kept descriptors. No COMMIT: the programs are in force.
	 */
	BPFILTER_OP_REPLAY = 8,
	/*
	 * The namespace is gone, and its tables with it: forget it. in, out: nothing.
	 */
	BPFILTER_OP_NETNS_GONE = 9,
	/*
	 * Devices, local addresses or early hooks of the namespace changed, its rules came into
	 * force, or it is time to look how fast they drop; sent, coalesced, behind what it follows
	 * and no more than once a second, where the last COMMIT asked for it with
	 * BPFILTER_COMMIT_WATCH, or where there are links. With BPFILTER_REQUEST_UNSETTLED
	 * something changes there all the time: nothing is to be decided at XDP until the next.
	 * in, out: nothing. EAGAIN: there is more to do, and it is sent again.
	 */
	BPFILTER_OP_DEVICES = 10,
	/*
	 * Programs for a socket of this namespace that is to be tapped. in: struct stap_policy and
	 * its rules (uapi/stap.h) as the caller gave them. out: nothing. Success means that
	 * IOC_GIVE gave four programs in the order of struct stap_params, -1 for none.
	 */
	BPFILTER_OP_TAP = 11,
};

/* bpfilter_request_header.flags */
#define BPFILTER_REQUEST_UNSETTLED 0x0002 /* see DEVICES */
#define BPFILTER_REQUEST_CHECKED 0x0004 /* see IOC_CHECK */
#define BPFILTER_REQUEST_USER 0x0008 /* another user namespace than the machine's own */

/* Header of a request. 40 bytes. */
struct bpfilter_request_header {
	__u32 length; /* bytes, this header included */
	__u16 opcode; /* enum bpfilter_opcode */
	__u16 flags; /* BPFILTER_REQUEST_* */
	__u64 id;
	__u64 netns; /* the namespace's cookie (SO_NETNS_COOKIE); 0: none */
	__u32 reply_limit; /* most bytes of payload that the reply may have */
	__u8 family; /* NFPROTO_IPV4 or NFPROTO_IPV6; 0: concerns none, or all of them */
	__u8 reserved[3];
	__u32 seconds; /* so long may be taken over it, from when it is read; 0: 60 */
	__u32 reserved_2;
};

/* Header of a reply. 24 bytes. On error there is no payload. */
struct bpfilter_reply_header {
	__u32 length; /* bytes, this header, message and payload */
	__s32 error; /* 0, or a negative errno */
	__u64 id; /* of the request */
	__u32 message_length; /* bytes of message right behind this header */
	__u32 reserved;
};

/* Where the leading rules of INPUT may be decided at XDP as well. */
enum bpfilter_xdp_mode {
	BPFILTER_XDP_OFF = 0,
	BPFILTER_XDP_AUTO = 1, /* native, in a flood, on devices that keep their traffic with it */
	BPFILTER_XDP_GENERIC = 2,
	BPFILTER_XDP_NATIVE = 3, /* native, or not at all */
};

/* What a table becomes. */
enum bpfilter_form {
	BPFILTER_FORM_AUTO = 0,
	BPFILTER_FORM_CODE = 1, /* programs of its own */
	BPFILTER_FORM_DATA = 2, /* records that are walked */
};

struct bpfilter_settings {
	__u32 xdp; /* enum bpfilter_xdp_mode */
	__u32 rate; /* packets dropped in a second that make a flood */
	__u32 form; /* enum bpfilter_form */
};

/*
 * What rules this kernel's own tables take for something else than other kernels' do. It is a
 * matter of the stable update, as are the quirks (context.h). What matches of the kernel's take
 * is not here: they are asked (IOC_CHECK).
 */
enum bpfilter_lax {
	/*
	 * IPv6: a rule that names a protocol, but not with IP6T_F_PROTO, asks for none. Its matches
	 * of transport headers then read the IPv6 header. Otherwise the flag is set for it.
	 */
	BPFILTER_LAX_PROTOCOL = 1,
};

struct bpfilter_init {
	__u32 major;
	__u32 minor;
	struct bpfilter_settings settings; /* zero in the reply */
	__u32 threads; /* of the reply: so many requests are carried out at a time; 0: one */
	/*
	 * Since 2.1, without which it ends here: a set of enum bpfilter_lax. Of the request; the
	 * module goes by what it found out, and does not look at the reply's.
	 */
	__u32 lax;
};

struct bpfilter_table_name {
	char name[BPFILTER_TABLE_NAME_LEN]; /* NUL-terminated */
};

struct bpfilter_get_entries {
	char name[BPFILTER_TABLE_NAME_LEN]; /* NUL-terminated */
	__u32 size; /* what the caller thinks the size is: else EAGAIN */
	__u32 reserved;
};

struct bpfilter_count {
	__u32 count;
	__u32 reserved;
};

/*
 * IOC_COMMIT: put a table in force, for a GET_INFO, GET_ENTRIES, ADD_COUNTERS or REPLACE
 * that is being processed, in that request's namespace and family. All or nothing.
 *
 * For a first commit of this table in this namespace the hooks are registered; for
 * any later one the programs of all hooks are swapped with one pointer, and COMMIT
 * returns after a grace period: no packet is in the old programs any more. `hook`,
 * `priority` and `flags` must then be the same as in the first.
 *
 * The module takes references of its own to all programs, maps and kept descriptors;
 * the helper closes its copies as it likes. Kept descriptors are arrays (per CPU or not) with
 * counters, or what the helper likes: the module holds them as long as the table is in force
 * and gives them back, in this order, to whoever asks with IOC_KEPT.
 *
 * `context_fd` is the per-CPU array that the module fills before it runs a program
 * (see context.h), or -1.
 *
 * Errors: EINVAL (shape; another table than the request's; a program that looks at more
 * of ctx than stands before ctx->cb, so at the packet directly, or that calls other
 * helpers than skb_load_bytes, skb_load_bytes_relative, map_lookup_elem and loop),
 * EBADF, EPERM-like errnos of the descriptors, ENOENT (no such id), ECANCELED (the
 * caller is gone), EALREADY (this request committed before), ENOMEM. The table in force
 * is then unchanged. EEXIST: first contents, for another request than a REPLACE, of a
 * table that is in force; the helper should have known it, and is replaced.
 */
struct bpfilter_commit_hook {
	__u32 hook; /* enum nf_inet_hooks */
	__s32 priority; /* enum nf_ip_hook_priorities */
	__s32 prog_fd; /* BPF_PROG_TYPE_SCHED_CLS; see context.h */
	__u32 flags; /* BPFILTER_HOOK_* */
};

/*
 * bpfilter_commit_hook.flags
 *
 * NAT: called by the nat core, for the first packet of a connection, as iptable_nat is. The
 * module loads nf_nat for it; ENOENT or ENOSYS if there is none.
 * REROUTE: at LOCAL_OUT. A packet that the program lets go on is routed anew if its mark,
 * TOS or one of its addresses is not what it was before.
 */
#define BPFILTER_HOOK_NAT 0x0001
#define BPFILTER_HOOK_REROUTE 0x0002

/* bpfilter_commit.flags */
#define BPFILTER_COMMIT_PIN 0x0001 /* more than first contents: keep the module loaded */
#define BPFILTER_COMMIT_WATCH 0x0002 /* send OP_DEVICES for this namespace */
/* What of the context (context.h) no program of this table looks at. */
#define BPFILTER_COMMIT_NO_DEVICES 0x0004 /* in and out */
#define BPFILTER_COMMIT_NO_LINK 0x0008 /* link */
/* The programs look at `connection`, which is told only then. */
#define BPFILTER_COMMIT_CONNECTION 0x0010

struct bpfilter_commit {
	__u64 id; /* of the request */
	char table[BPFILTER_TABLE_NAME_LEN];
	__u32 flags; /* BPFILTER_COMMIT_* */
	__u32 hook_count;
	__u32 kept_count;
	__s32 context_fd;
	struct bpfilter_commit_hook hook[BPFILTER_HOOKS_MAX];
	__s32 kept_fd[BPFILTER_KEPT_MAX];
};

/*
 * IOC_COMMIT_RECORDS: the same, of programs that walk records. `context_fd` is then an array of one
 * element of at least BPFILTER_NESTING times `element_size` bytes for each possible CPU. `root`:
 * what the context of each hook tells its program; what lies there is the helper's affair. Its
 * programs may look at ctx->cb[0] as well. EINVAL also: element_size is smaller than the context,
 * or no multiple of 8.
 * The first that is kept may be shared with other tables: `bytes` of it are this one's, and are on
 * the account of whoever stands behind the namespace. The others that are kept are its own; the
 * programs and the array of contexts are on nobody's account, since all such tables have the same.
 */
struct bpfilter_commit_records {
	struct bpfilter_commit commit;
	__u32 element_size;
	__u32 root[BPFILTER_HOOKS_MAX]; /* by hook number */
	__u32 bytes;
	__u32 reserved;
};

/*
 * IOC_CHECK: the kernel is to check and run matches and targets of these entries of a REPLACE.
 * Nothing is done about it before the helper has answered the request with success; then the caller
 * of setsockopt, in its own name, takes the entries in this order: all matches of an entry, and its
 * target, are found (their modules are loaded), checked for this table, protocol and these hooks as
 * ip_tables would, and become *instances*, which are numbered from 0 on in the order they stand in
 * the payload. The first error ends it, and is the caller's. If there is none, the caller gets
 * `error`, if that is not 0: what the helper found wrong behind the last of these entries.
 * Otherwise the REPLACE comes again, under another id, with BPFILTER_REQUEST_CHECKED; in its
 * payload each of these matches and targets is as a listing shows it, up to its `usersize`, and
 * zero beyond. COMMIT_RECORDS then takes the instances into force with the table; its programs call
 * them by number (context.h). They go with that version.
 *
 * To check again is to check something else. Errors: EINVAL (shape; an entry that is not within
 * the payload, or not behind the one before; another request, or one that is CHECKED), ENOENT,
 * ECANCELED, ENOMEM, EFAULT.
 */
struct bpfilter_check_entry {
	__u32 offset; /* from the first entry */
	__u32 hooks; /* that reach it: bit n is hook n; it is called from no other */
};

struct bpfilter_check {
	__u64 id; /* of the request */
	__u64 entries; /* address of struct bpfilter_check_entry[count], by ascending offset */
	__u32 count;
	__s32 error; /* 0, or a negative errno */
};

/*
 * IOC_KEPT: new descriptors (close-on-exec) for what was kept with the table of a
 * REPLAY or OLD_COUNTERS request, or with the table in force by that name in the
 * request's namespace for any other request that names a table; none if there is none.
 */
struct bpfilter_kept {
	__u64 id; /* in: of the request */
	__u32 count; /* out */
	__u32 reserved;
	__s32 fd[BPFILTER_KEPT_MAX]; /* out */
};

/*
 * IOC_GIVE: what a TAP asked for. The module takes references of its own to what the
 * descriptors stand for, and the request's caller gets these when it succeeds. To give again is to
 * give something else. Errors: EINVAL (count; another request than these; a descriptor of another
 * kind), EBADF, ENOENT, ECANCELED.
 */
struct bpfilter_give {
	__u64 id; /* of the request */
	__u32 count;
	__u32 reserved;
	__s32 fd[BPFILTER_GIFTS_MAX]; /* or -1 */
};

/*
 * IOC_ROOM: would a COMMIT for this request, of whose maps so many bytes were on the account of
 * whoever stands behind the namespace, find room there? To be asked before they are made.
 * Nothing is kept for him. Errors: ENOMEM (it would not), EINVAL (another request than those
 * that may commit), ENOENT.
 */
struct bpfilter_room {
	__u64 id; /* of the request */
	__u64 bytes;
};

#define BPFILTER_IOC_MAGIC 0xbf
#define BPFILTER_IOC_COMMIT _IOW(BPFILTER_IOC_MAGIC, 1, struct bpfilter_commit)
#define BPFILTER_IOC_KEPT _IOWR(BPFILTER_IOC_MAGIC, 2, struct bpfilter_kept)
/* The network namespace of the request with this id, as a new descriptor (the result). */
#define BPFILTER_IOC_NETNS _IOW(BPFILTER_IOC_MAGIC, 3, __u64)

/*
 * How many hooks come before INPUT of table filter in the namespace of the request with this id
 * (the result), at PRE_ROUTING and LOCAL_IN, not counting those that leave packets as they are:
 * conntrack and its defragmentation, which are known by what they are. Where there are any, such
 * as NAT, a packet's addresses on the wire do not tell whether it comes to INPUT. IPv4. Looked
 * at once a second for OP_DEVICES.
 */
#define BPFILTER_IOC_EARLY_HOOKS _IOW(BPFILTER_IOC_MAGIC, 4, __u64)

#define BPFILTER_IOC_GIVE _IOW(BPFILTER_IOC_MAGIC, 5, struct bpfilter_give)
#define BPFILTER_IOC_COMMIT_RECORDS _IOW(BPFILTER_IOC_MAGIC, 6, struct bpfilter_commit_records)
#define BPFILTER_IOC_CHECK _IOW(BPFILTER_IOC_MAGIC, 7, struct bpfilter_check)
#define BPFILTER_IOC_ROOM _IOW(BPFILTER_IOC_MAGIC, 10, struct bpfilter_room)

/*
 * The next request, if it is as long as this, fails with ENOMEM: there is no memory to read it.
 * EAGAIN: there is none, or a shorter one is next. EINVAL: it must be read, being INIT, SETTINGS,
 * REPLAY or NETNS_GONE. This counts as a read to where there is no memory: who does it again and
 * again has hung.
 */
#define BPFILTER_IOC_REFUSE _IOW(BPFILTER_IOC_MAGIC, 9, __u32)

/* More of them, of XDP: <bpfilter/xdp.h>. */

#endif /* BPFILTER_PIPE_H */
