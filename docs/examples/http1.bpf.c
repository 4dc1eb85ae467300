// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of HTTP/1, for a server's tap on what it receives: a message is a request with its
 * body. Nobody but the machine itself asks for anything under /admin: such a request ends the
 * connection, also the tenth on it.
 *
 * The length of a body is that of Content-Length. One in chunks is refused, rather than taken
 * for the next request: a filter that can be led past by Transfer-Encoding is none.
 */
#include <linux/bpf.h>
#include <linux/errno.h>

#include <bpf/bpf_helpers.h>

#include <stap.h>

#define HEADERS_MAX 8192
#define BODY_MAX (8 << 20)

static const char length_name[] = "content-length:";
static const char coding_name[] = "transfer-encoding:";
#define LENGTH_NAME 15
#define CODING_NAME 18

/*
 * Verifiers before 6.7 look at a bpf_loop() as if it went round once, and take out what can not
 * happen then. So nothing that the loop changes and reads begins as a number they know.
 */
static volatile __u32 zero;

struct headers {
	struct __sk_buff *skb;
	__u32 line; /* where it begins */
	__u32 blank; /* nothing is in it */
	__u32 length_seen; /* bytes of the line that are those of the name */
	__u32 coding_seen;
	__u32 body;
	__u32 end; /* of the headers; 0: not yet */
	__s32 error;
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c;
}

static __u32 match(const char *name, __u32 size, __u64 column, __u32 seen, char c)
{
	/* One register for all below: what the verifier learns of it holds for the index too. */
	barrier_var(column);
	if (column < size && seen == column && name[column] == c)
		return seen + 1;
	return seen;
}

static long add_digit(struct headers *headers, char c)
{
	if (c == ' ' || c == '\t')
		return 0;
	if (c < '0' || c > '9' || headers->body > BODY_MAX / 10) {
		headers->error = c < '0' || c > '9' ? -EPROTO : -EMSGSIZE;
		return 1;
	}
	headers->body = headers->body * 10 + (c - '0');
	return 0;
}

static long next_byte(__u32 index, struct headers *headers)
{
	__u32 column = index - headers->line;
	char c;

	if (bpf_skb_load_bytes(headers->skb, index, &c, 1))
		return 1;
	if (c == '\r')
		return 0;
	if (c == '\n') {
		/* An empty line ends them, but not as the first. */
		if (headers->blank && index > 1) {
			headers->end = index + 1;
			return 1;
		}
		headers->line = index + 1;
		headers->blank = 1;
		headers->length_seen = headers->coding_seen = 0;
		return 0;
	}
	headers->blank = 0;
	if (headers->length_seen == LENGTH_NAME)
		return add_digit(headers, c);
	headers->length_seen = match(length_name, LENGTH_NAME, column, headers->length_seen, lower(c));
	headers->coding_seen = match(coding_name, CODING_NAME, column, headers->coding_seen, lower(c));
	if (headers->coding_seen == CODING_NAME) {
		headers->error = -EPROTO;
		return 1;
	}
	return 0;
}

SEC("socket")
int parse(struct __sk_buff *skb)
{
	struct headers headers = {
		.skb = skb,
		.line = zero,
		.blank = !zero,
		.length_seen = zero,
		.coding_seen = zero,
		.body = zero,
	};

	bpf_loop(HEADERS_MAX, next_byte, &headers, 0);
	if (headers.error)
		return headers.error;
	if (headers.end)
		return headers.end + headers.body;
	return skb->len < HEADERS_MAX ? 0 : -EMSGSIZE;
}

/* The path: behind the method and one blank. */
SEC("socket")
int verdict(struct __sk_buff *skb)
{
	const char admin[] = "/admin";
	char path[sizeof(admin) - 1];
	__u32 at;
	char c;
	int i;

	for (at = 0; at < 16; at++) {
		if (bpf_skb_load_bytes(skb, at, &c, 1))
			return STAP_DISCONNECT;
		if (c == ' ')
			break;
	}
	if (c != ' ')
		return STAP_DISCONNECT;
	if (bpf_skb_load_bytes(skb, at + 1, path, sizeof(path)))
		return STAP_OK;
	for (i = 0; i < sizeof(path); i++)
		if (path[i] != admin[i])
			return STAP_OK;
	return STAP_DISCONNECT;
}

char _license[] SEC("license") = "GPL";
