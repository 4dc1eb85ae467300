// SPDX-License-Identifier: GPL-2.0
/*
 * Commands of Redis (RESP), for a server's tap on what it receives: a message is a command, as
 * an array of strings ("*2\r\n$3\r\nGET\r\n$1\r\nx\r\n") or inline, a line of text. Inline commands
 * are what a browser can be talked into sending ("POST / HTTP/1.1"), so but for PING and an
 * empty line they end the connection; and so does FLUSHALL, however it is written.
 */
#include <linux/bpf.h>
#include <linux/errno.h>

#include <bpf/bpf_helpers.h>

#include <stap.h>

#define STRINGS_MAX 1024
#define STRING_MAX (8 << 20)
#define INLINE_MAX 4096
#define DIGITS_MAX 10
#define MORE (-1) /* of number_at(): it has not come yet; what is no number is worse */
#define WRONG (-2)

struct command {
	struct __sk_buff *skb;
	__u32 at;
	__s32 answer;
};

struct line {
	struct __sk_buff *skb;
	__u32 end;
};

/* The number in "<kind>123\r\n" at `at`, which is moved behind it. */
static long number_at(struct __sk_buff *skb, __u32 *at, char kind)
{
	__u32 place = *at;
	long value = 0;
	char c;
	int i;

	if (bpf_skb_load_bytes(skb, place++, &c, 1))
		return MORE;
	if (c != kind)
		return WRONG;
	for (i = 0; i <= DIGITS_MAX; i++) {
		if (bpf_skb_load_bytes(skb, place++, &c, 1))
			return MORE;
		if (c == '\r')
			break;
		if (c < '0' || c > '9')
			return WRONG;
		value = value * 10 + (c - '0');
	}
	*at = place + 1; /* the \n, whatever it is */
	return c == '\r' && value <= STRING_MAX ? value : WRONG;
}

static long next_string(__u32 index, struct command *command)
{
	__u32 at = command->at;
	long length = number_at(command->skb, &at, '$');

	if (length < 0) {
		command->answer = length == MORE ? 0 : -EPROTO;
		return 1;
	}
	command->at = at + length + 2;
	return 0;
}

static int parse_array(struct __sk_buff *skb)
{
	struct command command = { .skb = skb, .answer = 1 };
	long strings = number_at(skb, &command.at, '*');

	if (strings < 0)
		return strings == MORE ? 0 : -EPROTO;
	if (strings > STRINGS_MAX)
		return -EMSGSIZE;
	bpf_loop(strings, next_string, &command, 0);
	return command.answer > 0 ? command.at : command.answer;
}

static long next_byte(__u32 index, struct line *line)
{
	char c;

	if (bpf_skb_load_bytes(line->skb, index, &c, 1))
		return 1;
	if (c != '\n')
		return 0;
	line->end = index + 1;
	return 1;
}

static int parse_inline(struct __sk_buff *skb)
{
	struct line line = { .skb = skb };

	bpf_loop(INLINE_MAX, next_byte, &line, 0);
	if (line.end)
		return line.end;
	return skb->len < INLINE_MAX ? 0 : -EMSGSIZE;
}

SEC("socket")
int parse(struct __sk_buff *skb)
{
	char first;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return 0;
	return first == '*' ? parse_array(skb) : parse_inline(skb);
}

static int is_word(struct __sk_buff *skb, __u32 at, const char *word, __u32 size)
{
	char c;
	__u32 i;

	for (i = 0; i < size; i++) {
		if (bpf_skb_load_bytes(skb, at + i, &c, 1) || (c & ~0x20) != word[i])
			return 0;
	}
	return 1;
}

SEC("socket")
int verdict(struct __sk_buff *skb)
{
	static const char ping[] = "PING", flushall[] = "FLUSHALL";
	__u32 at = 0;
	char first;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return STAP_DISCONNECT;
	if (first == '\r' || first == '\n')
		return STAP_OK;
	if (first != '*')
		return is_word(skb, 0, ping, 4) ? STAP_OK : STAP_DISCONNECT;
	if (number_at(skb, &at, '*') < 1 || number_at(skb, &at, '$') != 8)
		return STAP_OK;
	return is_word(skb, at, flushall, 8) ? STAP_DISCONNECT : STAP_OK;
}

char _license[] SEC("license") = "GPL";
