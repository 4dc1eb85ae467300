// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/anon_inodes.h>
#include <linux/atomic.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "pipe/ioctl.h"
#include "pipe/pipe.h"
#include "request/held.h"
#include "request/request.h"
#include "request/session.h"
#include "request/tell.h"

static atomic_t open_pipes = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(closed);

static bool has_news(struct bpfilter_session *session)
{
	return bpfilter_queue_next_length(session) || bpfilter_queue_ended(session);
}

static struct bpfilter_request *take(struct kiocb *iocb, size_t room)
{
	struct bpfilter_session *session = iocb->ki_filp->private_data;
	bool block = !(iocb->ki_filp->f_flags & O_NONBLOCK) && !(iocb->ki_flags & IOCB_NOWAIT);
	struct bpfilter_request *request;

	for (;;) {
		request = bpfilter_queue_take(session, 0, room);
		if (request != ERR_PTR(-EAGAIN) || !block)
			return request;
		if (wait_event_interruptible(session->readable, has_news(session)))
			return ERR_PTR(-ERESTARTSYS);
	}
}

static ssize_t pipe_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct bpfilter_session *session = iocb->ki_filp->private_data;
	struct bpfilter_request *request = take(iocb, iov_iter_count(to));
	u32 length, body;

	if (IS_ERR_OR_NULL(request))
		return PTR_ERR_OR_ZERO(request);
	bpfilter_request_forget_check(request);
	length = request->header.length;
	body = request->body_length;
	if (copy_to_iter(&request->header, sizeof(request->header), to) !=
		    sizeof(request->header) ||
	    copy_to_iter(request->head, request->head_length, to) != request->head_length ||
	    (body && copy_to_iter(bpfilter_request_body(request), body, to) != body)) {
		bpfilter_queue_untake(session, request);
		return -EFAULT;
	}
	bpfilter_queue_release(session, request);
	return length;
}

/* What the helper says goes into the kernel log: keep it to one line of text. */
static int log_message(const struct bpfilter_reply_header *reply, struct iov_iter *from)
{
	char message[BPFILTER_MESSAGE_MAX + 1];
	u32 i;

	if (reply->message_length > BPFILTER_MESSAGE_MAX)
		return -EINVAL;
	if (copy_from_iter(message, reply->message_length, from) != reply->message_length)
		return -EFAULT;
	for (i = 0; i < reply->message_length; i++)
		if (isascii(message[i]) && !isprint(message[i]))
			message[i] = '?';
	message[i] = '\0';
	if (i)
		pr_info_ratelimited("%s\n", message);
	return 0;
}

static int receive(struct bpfilter_request *request, const struct bpfilter_reply_header *reply,
		   struct iov_iter *from)
{
	size_t size = sizeof(*reply) + iov_iter_count(from);
	u32 payload;
	int error;

	if (reply->length != size || reply->reserved || reply->error > 0 ||
	    reply->error < -MAX_ERRNO)
		return -EINVAL;
	if (reply->message_length > iov_iter_count(from))
		return -EINVAL;
	payload = iov_iter_count(from) - reply->message_length;
	if (payload > request->header.reply_limit || (reply->error && payload))
		return -EINVAL;
	error = log_message(reply, from);
	if (error)
		return error;
	if (payload && copy_from_iter(request->reply, payload, from) != payload)
		return -EFAULT;
	request->reply_length = payload;
	return 0;
}

static ssize_t pipe_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct bpfilter_session *session = iocb->ki_filp->private_data;
	size_t size = iov_iter_count(from);
	struct bpfilter_reply_header reply;
	struct bpfilter_request *request;
	int error;

	if (size < sizeof(reply))
		return -EINVAL;
	if (!copy_from_iter_full(&reply, sizeof(reply), from))
		return -EFAULT;
	request = bpfilter_queue_hold_to_finish(session, reply.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = receive(request, &reply, from);
	if (error == -EFAULT) {
		bpfilter_queue_release(session, request);
		return error;
	}
	if (error)
		pr_warn_ratelimited("the helper gave a malformed reply\n");
	if (request->header.opcode == BPFILTER_OP_DEVICES && (error || reply.error))
		bpfilter_tell_again(request->net);
	if (request->header.opcode == BPFILTER_OP_INIT)
		bpfilter_session_greet(session, request, error ? error : reply.error);
	bpfilter_queue_finish(session, request, error ? -EIO : bpfilter_request_error(reply.error));
	return error ? error : size;
}

static __poll_t pipe_poll(struct file *file, struct poll_table_struct *wait)
{
	struct bpfilter_session *session = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &session->readable, wait);
	if (has_news(session))
		events |= EPOLLIN | EPOLLRDNORM;
	if (bpfilter_queue_ended(session))
		events |= EPOLLHUP;
	return events;
}

static int pipe_release(struct inode *inode, struct file *file)
{
	struct bpfilter_session *session = file->private_data;

	bpfilter_session_end(session, BPFILTER_END_DIED);
	bpfilter_session_put(session);

	/* The core looks at f_op once more behind us: let it be one that does not go. */
	replace_fops(file, inode->i_fop);
	/* Nothing of ours may sleep from here: see bpfilter_pipe_wait_closed(). */
	if (atomic_dec_and_test(&open_pipes))
		wake_up(&closed);
	return 0;
}

static const struct file_operations pipe_fops = {
	/* No owner, on purpose. */
	.read_iter = pipe_read,
	.write_iter = pipe_write,
	.poll = pipe_poll,
	.unlocked_ioctl = bpfilter_pipe_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = pipe_release,
};

struct file *bpfilter_pipe_new(struct bpfilter_session *session)
{
	struct file *file = anon_inode_getfile("[bpfilter]", &pipe_fops, session, O_RDWR);

	if (IS_ERR(file))
		return file;
	stream_open(file_inode(file), file);
	refcount_inc(&session->refs);
	atomic_inc(&open_pipes);
	return file;
}

void bpfilter_pipe_wait_closed(void)
{
	while (!wait_event_timeout(closed, !atomic_read(&open_pipes), 10 * HZ))
		pr_warn("waiting for whoever holds a pipe of the helper open to close it\n");
	/* Until whoever closed the last one has left our text. */
	synchronize_rcu_tasks();
}
