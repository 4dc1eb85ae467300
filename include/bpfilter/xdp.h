/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pipe's part of XDP. The helper makes programs and links; the module holds the links, so that
 * they outlive it, and says when a program may drop: it reads its *guard*, the only element, of
 * 8 bytes, of an array, and passes everything while that is 0. The module clears guards from its
 * notifiers, before what they tell of takes effect, and at COMMIT; none is set unless nothing
 * has happened since the helper looked. A device that leaves its namespace loses its link.
 */
#ifndef BPFILTER_XDP_H
#define BPFILTER_XDP_H

#include <bpfilter/pipe.h>

#define BPFILTER_LINKS_MAX 64 /* of a namespace */
#define BPFILTER_ADDRESSES_MAX 4096 /* of a namespace that may have links */

/* Why a device is left to netfilter. */
enum bpfilter_unfit {
	BPFILTER_FIT = 0,
	BPFILTER_UNFIT_ABSENT = 1, /* there is no such device */
	BPFILTER_UNFIT_DOWN = 2,
	BPFILTER_UNFIT_KIND = 3, /* not loopback, nor Ethernet that is known to be plain */
	BPFILTER_UNFIT_UPPER = 4, /* something stands on it, in whatever namespace */
	BPFILTER_UNFIT_INGRESS = 5, /* a hook of tc or nft sees its packets first */
	BPFILTER_UNFIT_TAGS = 6, /* VLAN tags may not be in the frame, where the program looks */
};

/* bpfilter_look_device.flags */
#define BPFILTER_DEVICE_LOOPBACK 0x01
#define BPFILTER_DEVICE_GENTLE 0x02 /* traffic that passes does not suffer from native XDP */

/* 32 bytes. */
struct bpfilter_look_device {
	char name[BPFILTER_TABLE_NAME_LEN / 2]; /* in; NUL-terminated */
	__u32 index; /* out; 0 if there is none */
	__u32 mode; /* out: enum bpfilter_xdp_mode of its link; OFF: it has none of ours */
	__u8 address[6]; /* out */
	__u8 unfit; /* out: enum bpfilter_unfit */
	__u8 flags; /* out: BPFILTER_DEVICE_* */
};

/* An IPv4 address of the namespace, or a prefix of loopback. 8 bytes. */
struct bpfilter_look_address {
	__u8 address[4];
	__u8 length; /* of the prefix */
	__u8 local; /* packets to it come to INPUT */
	__u16 reserved;
};

/* A link of ours, whether its device was asked for or not. 8 bytes. */
struct bpfilter_look_link {
	__u32 index; /* of the device */
	__u8 mode; /* enum bpfilter_xdp_mode */
	__u8 unfit; /* enum bpfilter_unfit */
	__u16 reserved;
};

/*
 * IOC_LOOK: how things are in the namespace of the request with this id, all at one moment.
 * E2BIG: more addresses than there is room for. EBUSY: routes change faster than they can be
 * looked at, or others kept all devices busy for half a second. No addresses are given where
 * `hidden` is not 0.
 */
struct bpfilter_look {
	__u64 id; /* in: of the request */
	__u64 devices; /* in: address of struct bpfilter_look_device[device_count], in and out */
	__u64 addresses; /* in: address of struct bpfilter_look_address[address_count] */
	__u64 links; /* in: address of struct bpfilter_look_link[link_count] */
	__u64 generation; /* out: of this look, for IOC_ATTACH; never 0 */
	__u32 device_count; /* in; at most BPFILTER_LINKS_MAX */
	__u32 address_count; /* in: room; at most BPFILTER_ADDRESSES_MAX; out: how many */
	__u32 link_count; /* in: room; BPFILTER_LINKS_MAX; out: how many */
	__u32 hidden; /* out: reasons why what is on the wire does not tell what comes to INPUT */
};

/*
 * IOC_ATTACH: a device gets a link, or its link another program, or its program's guard is set.
 *
 * link_fd: a new link for this device, which has none; or -1. prog_fd: what the link runs, or
 * -1: what it runs already. guard_fd: the guard of that program, which has come with it; -1: it
 * has none, and drops nothing.
 *
 * Errors: EINVAL (shape), ENODEV (no such device, or without such a link), EEXIST, ENOENT,
 * ECANCELED, ENOSPC (as many links as there may be), ENOMEM (the user who stands behind the
 * namespace may keep no more). EAGAIN: done, but something happened to the device or to all since
 * the look: the guard is not set. A DEVICES follows.
 */
struct bpfilter_attach {
	__u64 id; /* of the request */
	__u64 generation; /* of the look; 0: the guard is not to be set */
	__u32 index; /* of the device */
	__u32 reserved;
	__s32 link_fd;
	__s32 prog_fd;
	__s32 guard_fd;
	__u32 reserved_2;
};

/* IOC_DETACH: the link of the device with that index goes. ENODEV: there is none. */
struct bpfilter_detach {
	__u64 id; /* of the request */
	__u32 index;
	__u32 reserved;
};

#define BPFILTER_IOC_LOOK _IOWR(BPFILTER_IOC_MAGIC, 6, struct bpfilter_look)
#define BPFILTER_IOC_ATTACH _IOW(BPFILTER_IOC_MAGIC, 7, struct bpfilter_attach)
#define BPFILTER_IOC_DETACH _IOW(BPFILTER_IOC_MAGIC, 8, struct bpfilter_detach)

#endif /* BPFILTER_XDP_H */
