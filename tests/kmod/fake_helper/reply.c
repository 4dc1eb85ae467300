// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fake_helper.h"

bool reply_with(const struct bpfilter_request_header *request, int error, const char *message,
		const void *payload, size_t size)
{
	struct bpfilter_reply_header reply = {
		.length = sizeof(reply) + strlen(message) + size,
		.error = -error,
		.id = request->id,
		.message_length = strlen(message),
	};
	struct iovec part[] = {
		{ &reply, sizeof(reply) },
		{ (void *)message, strlen(message) },
		{ (void *)payload, size },
	};

	if (writev(PIPE, part, 3) >= 0)
		return true;
	note("write errno=%d\n", errno);
	return false;
}

static void write_raw(const void *data, size_t size)
{
	ssize_t result = write(PIPE, data, size);

	note("write errno=%d\n", result < 0 ? errno : 0);
}

void reply_malformed(const struct bpfilter_request_header *request)
{
	struct bpfilter_reply_header reply = { .length = sizeof(reply), .id = request->id };
	char whole[512] = {};

	switch (number) {
	case 0:
		reply.length = 1 << 30;
		break;
	case 1:
		reply.error = 1;
		break;
	case 2:
		reply.error = -5000;
		break;
	case 3:
		reply.message_length = ~0U;
		break;
	case 4:
		reply.reserved = 1;
		break;
	case 5: /* an error and a payload */
		reply.error = -EPERM;
		reply.length = sizeof(reply) + 1;
		break;
	case 6:
		reply.message_length = BPFILTER_MESSAGE_MAX + 1;
		reply.length = sizeof(reply) + BPFILTER_MESSAGE_MAX + 1;
		break;
	}
	memcpy(whole, &reply, sizeof(reply));
	write_raw(whole, reply.length < sizeof(whole) ? reply.length : sizeof(reply));
}

/* When there is nothing to read. */
static void ask_for_more(void)
{
	struct pollfd pipe = { .fd = PIPE, .events = POLLIN | POLLOUT | POLLHUP };
	int flags = fcntl(PIPE, F_GETFL);
	char buffer[4096];
	int length = -1;

	if (ioctl(PIPE, FIONREAD, &length) || poll(&pipe, 1, 0) < 0 ||
	    fcntl(PIPE, F_SETFL, flags | O_NONBLOCK))
		give_up("cannot ask for more");
	note("idle length=%d in=%d out=%d errno=%d\n", length, !!(pipe.revents & POLLIN),
	     !!(pipe.revents & POLLOUT), read(PIPE, buffer, sizeof(buffer)) < 0 ? errno : 0);
	if (fcntl(PIPE, F_SETFL, flags))
		give_up("cannot block again");
}

void make_noise(const struct bpfilter_request_header *request)
{
	const void *volatile unmapped = (void *)8;
	struct bpfilter_reply_header reply = { .length = sizeof(reply), .id = request->id + 1000 };
	struct iovec part[] = { { &reply, sizeof(reply) }, { (void *)unmapped, 1 } };

	write_raw("x", 1);
	write_raw(&reply, sizeof(reply));
	write_raw(unmapped, 24);
	reply.id = request->id;
	reply.length = sizeof(reply) + 1;
	note("write errno=%d\n", writev(PIPE, part, 2) < 0 ? errno : 0);
	note("ioctl errno=%d\n", ioctl(PIPE, 0x1234, 0) < 0 ? errno : 0);
	note("lseek errno=%d\n", lseek(PIPE, 0, SEEK_SET) < 0 ? errno : 0);
	ask_for_more();
}

void reply_too_much(const struct bpfilter_request_header *request)
{
	size_t size = request->reply_limit + 1;
	void *payload = calloc(1, size);

	reply_with(request, 0, "", payload, size);
	free(payload);
}
