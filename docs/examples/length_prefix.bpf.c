// SPDX-License-Identifier: GPL-2.0
/*
 * Messages of four bytes, big-endian, that tell the length of what follows them. The first byte
 * of that is a type: 0xff is taken out of the stream, 0xfe ends the connection.
 *
 *	clang -O2 -g -target bpf -I ../../uapi -c length_prefix.bpf.c
 *	bpftool prog loadall length_prefix.bpf.o /sys/fs/bpf/length_prefix
 *	stapctl attach PID FD --recv-parse /sys/fs/bpf/length_prefix/parse \
 *		--recv-verdict /sys/fs/bpf/length_prefix/verdict
 */
#include <linux/bpf.h>
#include <linux/errno.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <stap.h>

#define LONGEST (1 << 20)

SEC("socket")
int parse(struct __sk_buff *skb)
{
	__u32 length;

	if (bpf_skb_load_bytes(skb, 0, &length, sizeof(length)))
		return 0;
	length = bpf_ntohl(length);
	if (length > LONGEST)
		return -EMSGSIZE;
	return sizeof(length) + length;
}

SEC("socket")
int verdict(struct __sk_buff *skb)
{
	__u8 type;

	/* A message without a type is none of those. */
	if (bpf_skb_load_bytes(skb, sizeof(__u32), &type, sizeof(type)))
		return STAP_OK;
	switch (type) {
	case 0xff:
		return STAP_DROP;
	case 0xfe:
		return STAP_DISCONNECT;
	default:
		return STAP_OK;
	}
}

char _license[] SEC("license") = "GPL";
