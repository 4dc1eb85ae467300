// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/netfilter.h>
#include <linux/proc_fs.h>
#include <linux/proc_ns.h>
#include <linux/uaccess.h>
#include <asm/ioctls.h>
#include <net/net_namespace.h>

#include <bpfilter/xdp.h>

#include "packet/place.h"
#include "packet/table.h"
#include "packet/version.h"
#include "pipe/commit.h"
#include "pipe/ioctl.h"
#include "request/check.h"
#include "request/held.h"
#include "request/request.h"
#include "request/session.h"
#include "request/tell.h"
#include "xdp/attach.h"
#include "xdp/early.h"
#include "xdp/look.h"

static bool is_hook_valid(const struct bpfilter_commit_hook *hook)
{
	return !(hook->flags & ~(BPFILTER_HOOK_NAT | BPFILTER_HOOK_REROUTE)) &&
	       (!(hook->flags & BPFILTER_HOOK_REROUTE) || hook->hook == NF_INET_LOCAL_OUT) &&
	       (!(hook->flags & BPFILTER_HOOK_NAT) || hook->hook != NF_INET_FORWARD);
}

static bool is_commit_valid(const struct bpfilter_commit *commit)
{
	const u32 flags = BPFILTER_COMMIT_PIN | BPFILTER_COMMIT_WATCH |
			  BPFILTER_COMMIT_NO_DEVICES | BPFILTER_COMMIT_NO_LINK |
			  BPFILTER_COMMIT_CONNECTION;
	u32 i;

	for (i = 0; i < min_t(u32, commit->hook_count, BPFILTER_HOOKS_MAX); i++)
		if (!is_hook_valid(&commit->hook[i]))
			return false;
	return !(commit->flags & ~flags) && commit->hook_count <= BPFILTER_HOOKS_MAX &&
	       commit->kept_count <= BPFILTER_KEPT_MAX && commit->table[0] &&
	       strnlen(commit->table, sizeof(commit->table)) < sizeof(commit->table);
}

/* Is it about a table that may come into force for it? */
static bool may_commit(const struct bpfilter_request *request)
{
	switch (request->header.opcode) {
	case BPFILTER_OP_GET_INFO:
	case BPFILTER_OP_GET_ENTRIES:
	case BPFILTER_OP_ADD_COUNTERS:
	case BPFILTER_OP_REPLACE:
		return true;
	default:
		return false;
	}
}

static bool can_commit(const struct bpfilter_request *request,
		       const struct bpfilter_commit_records *records)
{
	const struct bpfilter_commit *commit = &records->commit;

	/* What was checked is called by programs that walk records, only where it is at home. */
	if (request->header.flags & BPFILTER_REQUEST_CHECKED && !bpfilter_place_is_right(commit))
		return false;
	return may_commit(request) && !strcmp(bpfilter_request_table(request), commit->table);
}

static long commit(struct bpfilter_session *session, const struct bpfilter_commit_records *records)
{
	struct bpfilter_request *request;
	int error;

	if (!is_commit_valid(&records->commit))
		return -EINVAL;
	request = bpfilter_queue_hold(session, records->commit.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = -EINVAL;
	if (can_commit(request, records))
		error = bpfilter_commit(request, records);
	/* First contents for a table that has contents: see replay.c. */
	if (error == -EEXIST)
		bpfilter_session_end(session, BPFILTER_END_STALE);
	bpfilter_queue_release(session, request);
	return error;
}

static long ioctl_commit(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_commit_records records = {};

	if (copy_from_user(&records.commit, argument, sizeof(records.commit)))
		return -EFAULT;
	return commit(session, &records);
}

static long ioctl_commit_records(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_commit_records records;

	if (copy_from_user(&records, argument, sizeof(records)))
		return -EFAULT;
	if (!records.element_size)
		return -EINVAL;
	return commit(session, &records);
}

static long ioctl_room(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_request *request;
	struct bpfilter_room room;
	int error = -EINVAL;

	if (copy_from_user(&room, argument, sizeof(room)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, room.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	if (may_commit(request))
		error = bpfilter_commit_room(request, min_t(u64, room.bytes, LONG_MAX));
	bpfilter_queue_release(session, request);
	return error;
}

static long ioctl_check(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_request *request;
	struct bpfilter_check check;
	int error;

	if (copy_from_user(&check, argument, sizeof(check)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, check.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = bpfilter_check_take(request, &check);
	bpfilter_queue_release(session, request);
	return error;
}

static void put_descriptors(const s32 *fd, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		put_unused_fd(fd[i]);
}

static int give_kept(const struct bpfilter_version *version, struct bpfilter_kept *kept,
		     void __user *argument)
{
	u32 i;

	for (kept->count = 0; version && kept->count < version->kept_count; kept->count++) {
		int fd = get_unused_fd_flags(O_CLOEXEC);

		if (fd < 0) {
			put_descriptors(kept->fd, kept->count);
			return fd;
		}
		kept->fd[kept->count] = fd;
	}
	if (copy_to_user(argument, kept, sizeof(*kept))) {
		put_descriptors(kept->fd, kept->count);
		return -EFAULT;
	}
	for (i = 0; i < kept->count; i++)
		fd_install(kept->fd[i], get_file(version->kept[i]));
	return 0;
}

/* The version whose descriptors belong to this request, referenced, or NULL. */
static struct bpfilter_version *version_for(const struct bpfilter_request *request)
{
	if (request->version)
		return bpfilter_version_get(request->version);
	return bpfilter_table_version(request->net, request->header.family,
				      bpfilter_request_table(request));
}

static long ioctl_kept(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_kept kept = {};
	struct bpfilter_version *version;
	struct bpfilter_request *request;
	int error;

	if (copy_from_user(&kept.id, argument, sizeof(kept.id)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, kept.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = -EINVAL;
	if (request->version || (request->net && bpfilter_request_table(request))) {
		version = version_for(request);
		error = give_kept(version, &kept, argument);
		bpfilter_version_put(version);
	}
	bpfilter_queue_release(session, request);
	return error;
}

static long ioctl_give(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_request *request;
	struct bpfilter_give give;
	int error;

	if (copy_from_user(&give, argument, sizeof(give)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, give.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = bpfilter_gifts_take(&request->gifts, &give);
	bpfilter_queue_release(session, request);
	return error;
}

static int open_netns(struct net *net)
{
	return open_related_ns(&net->ns, get_net_ns);
}

static int count_early_hooks(struct net *net)
{
	return bpfilter_early_hooks(net);
}

/* What `ask` says of the namespace of the request whose id the argument points to. */
static long ioctl_net(struct bpfilter_session *session, void __user *argument,
		      int (*ask)(struct net *net))
{
	struct bpfilter_request *request;
	int result;
	u64 id;

	if (copy_from_user(&id, argument, sizeof(id)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	result = request->net ? ask(request->net) : -EINVAL;
	bpfilter_queue_release(session, request);
	return result;
}

static long ioctl_look(struct bpfilter_session *session, struct bpfilter_look __user *argument)
{
	struct bpfilter_request *request;
	struct bpfilter_look look;
	int error;

	if (copy_from_user(&look, argument, sizeof(look)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, look.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = request->net ? bpfilter_look(request->net, &look) : -EINVAL;
	bpfilter_queue_release(session, request);
	if (!error && copy_to_user(argument, &look, sizeof(look)))
		error = -EFAULT;
	return error;
}

static long ioctl_attach(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_request *request;
	struct bpfilter_attach attach;
	int error;

	if (copy_from_user(&attach, argument, sizeof(attach)))
		return -EFAULT;
	if (attach.reserved || attach.reserved_2 || (attach.link_fd != -1 && attach.prog_fd != -1))
		return -EINVAL;
	request = bpfilter_queue_hold(session, attach.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = request->net ? bpfilter_attach(request->net, &attach) : -EINVAL;
	bpfilter_queue_release(session, request);
	return error;
}

static long ioctl_detach(struct bpfilter_session *session, void __user *argument)
{
	struct bpfilter_request *request;
	struct bpfilter_detach detach;
	int error;

	if (copy_from_user(&detach, argument, sizeof(detach)))
		return -EFAULT;
	request = bpfilter_queue_hold(session, detach.id);
	if (IS_ERR(request))
		return PTR_ERR(request);
	error = request->net ? bpfilter_detach(request->net, detach.index) : -EINVAL;
	bpfilter_queue_release(session, request);
	return error;
}

static long ioctl_length(struct bpfilter_session *session, int __user *argument)
{
	return put_user((int)bpfilter_queue_next_length(session), argument);
}

/* What nobody waits for: who does not read it knows the wrong things. DEVICES comes again. */
static bool must_be_read(const struct bpfilter_request *request)
{
	switch (request->header.opcode) {
	case BPFILTER_OP_INIT:
	case BPFILTER_OP_SETTINGS:
	case BPFILTER_OP_REPLAY:
	case BPFILTER_OP_NETNS_GONE:
		return true;
	default:
		return false;
	}
}

static long ioctl_refuse(struct bpfilter_session *session, const __u32 __user *argument)
{
	struct bpfilter_request *request;
	u32 length;

	if (get_user(length, argument))
		return -EFAULT;
	request = bpfilter_queue_take(session, length, U32_MAX);
	if (IS_ERR_OR_NULL(request))
		return request ? PTR_ERR(request) : -EAGAIN;
	if (must_be_read(request)) {
		bpfilter_queue_untake(session, request);
		return -EINVAL;
	}
	if (request->header.opcode == BPFILTER_OP_DEVICES)
		bpfilter_tell_again(request->net);
	bpfilter_queue_finish(session, request, -ENOMEM);
	return 0;
}

long bpfilter_pipe_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct bpfilter_session *session = file->private_data;
	void __user *pointer = (void __user *)argument;

	switch (command) {
	case BPFILTER_IOC_COMMIT:
		return ioctl_commit(session, pointer);
	case BPFILTER_IOC_COMMIT_RECORDS:
		return ioctl_commit_records(session, pointer);
	case BPFILTER_IOC_ROOM:
		return ioctl_room(session, pointer);
	case BPFILTER_IOC_CHECK:
		return ioctl_check(session, pointer);
	case BPFILTER_IOC_KEPT:
		return ioctl_kept(session, pointer);
	case BPFILTER_IOC_GIVE:
		return ioctl_give(session, pointer);
	case BPFILTER_IOC_NETNS:
		return ioctl_net(session, pointer, open_netns);
	case BPFILTER_IOC_EARLY_HOOKS:
		return ioctl_net(session, pointer, count_early_hooks);
	case BPFILTER_IOC_REFUSE:
		return ioctl_refuse(session, pointer);
	case BPFILTER_IOC_LOOK:
		return ioctl_look(session, pointer);
	case BPFILTER_IOC_ATTACH:
		return ioctl_attach(session, pointer);
	case BPFILTER_IOC_DETACH:
		return ioctl_detach(session, pointer);
	case FIONREAD:
		return ioctl_length(session, pointer);
	default:
		return -ENOTTY;
	}
}
