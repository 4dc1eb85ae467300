// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kmod.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "helper.h"
#include "image.h"
#include "pipe.h"
#include "request.h"
#include "settings.h"
#include "table.h"

/* A life shorter than this counts as a failure to live. */
#define BF_SHORT_LIFE HZ
#define BF_BACKOFF_MIN (HZ / 10)
#define BF_BACKOFF_MAX (5 * HZ)
/* So many in a row that died before they answered INIT, and we stop trying. */
#define BF_STILLBORN_MAX 3
#define BF_WATCH_PERIOD (HZ / 2)

static void start_helper(struct work_struct *work);
static void watch_helper(struct work_struct *work);

static struct workqueue_struct *bf_workqueue;
static DECLARE_DELAYED_WORK(bf_start, start_helper);
static DECLARE_DELAYED_WORK(bf_watch, watch_helper);

/* Under the lock of the queue, but for the one who starts. */
static struct pid *bf_previous; /* the helper before: gone before the next one starts */
static unsigned long bf_backoff;
static unsigned long bf_not_before; /* jiffies */
static unsigned int bf_stillborn;

/* Threads of the group that have not exited: they may hold XDP links, or the pipe. */
static bool is_alive(struct pid *pid)
{
	struct task_struct *task;
	bool alive;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	alive = task && !(READ_ONCE(task->exit_state) && thread_group_empty(task));
	rcu_read_unlock();
	return alive;
}

void bf_helper_want(void)
{
	unsigned long delay = 0;

	if (time_before(jiffies, bf_not_before))
		delay = bf_not_before - jiffies;
	queue_delayed_work(bf_workqueue, &bf_start, delay);
	bf_helper_watch();
}

void bf_helper_watch(void)
{
	schedule_delayed_work(&bf_watch, BF_WATCH_PERIOD);
}

static void watch_helper(struct work_struct *work)
{
	if (bf_queue_watch(bf_deadline()))
		bf_helper_watch();
}

/* The first death costs the next helper nothing; then they come slower and slower. */
static unsigned long back_off(struct bf_session *session)
{
	unsigned long delay;

	if (time_after(jiffies, session->born + BF_SHORT_LIFE))
		bf_backoff = 0;
	delay = bf_backoff;
	bf_not_before = jiffies + delay;
	if (bf_backoff)
		bf_backoff = min_t(unsigned long, 2 * bf_backoff, BF_BACKOFF_MAX);
	else
		bf_backoff = BF_BACKOFF_MIN;
	return delay;
}

static bool is_hopeless(const struct bf_session *session, enum bf_end reason)
{
	if (reason == BF_END_REFUSED || reason == BF_END_UNSTARTABLE)
		return true;
	if (session->greeted)
		bf_stillborn = 0;
	else if (reason == BF_END_HUNG || ++bf_stillborn >= BF_STILLBORN_MAX)
		return true;
	return false;
}

unsigned long bf_helper_ended(struct bf_session *session, enum bf_end reason, bool wanted)
{
	unsigned long delay;

	put_pid(bf_previous);
	bf_previous = get_pid(session->pid);
	if (reason == BF_END_STOPPED)
		return 0;
	if (reason == BF_END_DIED)
		pr_warn_ratelimited("the helper died; the rules in force stay in force\n");
	if (reason == BF_END_STALE)
		pr_warn_ratelimited("the helper does not know a table in force; starting another\n");
	if (reason == BF_END_HUNG)
		pr_warn_ratelimited("the helper did not answer in time; the rules in force stay in force\n");

	delay = back_off(session);
	if (is_hopeless(session, reason)) {
		pr_err_ratelimited("giving up the helper until it is asked for again\n");
		bf_stillborn = 0;
		return max_t(unsigned long, delay, HZ);
	}
	/* Tables in force want a helper too: it has XDP programs to attach for them. */
	if (wanted || bf_table_any())
		bf_helper_want();
	return 0;
}

static bool is_same_version(const struct bf_request *init)
{
	const struct bpfilter_init *answer = init->reply;

	return init->reply_length == sizeof(*answer) && answer->major == BPFILTER_PIPE_MAJOR;
}

void bf_helper_greet(struct bf_session *session, struct bf_request *init, int error)
{
	LIST_HEAD(replays);

	if (error || !is_same_version(init)) {
		pr_err_ratelimited("the helper does not speak version %u of the pipe\n",
				   BPFILTER_PIPE_MAJOR);
		bf_session_end(session, BF_END_REFUSED);
		return;
	}
	/* Without memory for it, the tables in force would be unknown to this helper. */
	if (bf_table_replays(&replays)) {
		bf_session_end(session, BF_END_DIED);
		bf_requests_put(&replays);
		return;
	}
	bf_session_greeted(session, &replays);
}

static int install(struct file *file, unsigned int flags)
{
	int fd = get_unused_fd_flags(flags);

	if (fd >= 0)
		fd_install(fd, get_file(file));
	return fd;
}

/* Where the helper's last words go, if it has any to standard error. */
static int install_log(void)
{
	struct file *log = filp_open("/dev/kmsg", O_WRONLY, 0);
	int fd;

	if (IS_ERR(log))
		log = filp_open("/dev/null", O_WRONLY, 0);
	if (IS_ERR(log))
		return PTR_ERR(log);
	fd = install(log, 0);
	if (fd >= 0)
		fd = install(log, 0);
	fput(log);
	return fd;
}

/* In the new process, before it becomes the helper: 0 the pipe, 1 and 2 the kernel log. */
static int enter(struct subprocess_info *info, struct cred *new)
{
	struct bf_session *session = info->data;
	int fd = install(session->pipe, 0);

	if (fd)
		return fd < 0 ? fd : -EBUSY;
	fd = install_log();
	if (fd < 0)
		return fd;
	fd = install(session->image, O_CLOEXEC);
	if (fd < 0)
		return fd;
	snprintf(session->path, sizeof(session->path), "/proc/self/fd/%d", fd);
	session->pid = get_task_pid(current, PIDTYPE_TGID);
	return 0;
}

static int execute(struct bf_session *session)
{
	char *argv[] = { "bpfilter_umh", NULL };
	char *envp[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	struct subprocess_info *info;

	/* Not empty, or nothing is executed; enter() will know the number. */
	strscpy(session->path, "/proc/self/fd/", sizeof(session->path));
	info = call_usermodehelper_setup(session->path, argv, envp, GFP_KERNEL, enter, NULL,
					 session);
	if (!info)
		return -ENOMEM;
	return call_usermodehelper_exec(info, UMH_WAIT_EXEC);
}

static struct bf_request *new_init(void)
{
	struct bpfilter_init init = {
		.major = BPFILTER_PIPE_MAJOR,
		.minor = BPFILTER_PIPE_MINOR,
		.settings = bf_settings(),
	};
	struct bf_request *request = bf_request_new(BPFILTER_OP_INIT, NULL, NFPROTO_UNSPEC);

	if (!request)
		return NULL;
	if (bf_request_reserve_reply(request, sizeof(init))) {
		bf_request_put(request);
		return NULL;
	}
	bf_request_set_head(request, &init, sizeof(init));
	return request;
}

static int attach_and_execute(struct bf_session *session)
{
	struct bf_request *init = new_init();
	int error;

	if (!init)
		return -ENOMEM;
	session->pipe = bf_pipe_new(session);
	if (IS_ERR(session->pipe)) {
		bf_request_put(init);
		return PTR_ERR(session->pipe);
	}
	error = bf_session_attach(session, init);
	if (!error) {
		error = execute(session);
		if (error)
			bf_session_end(session, BF_END_UNSTARTABLE);
		else if (bf_queue_ended(session))
			/* It ended before there was a process to kill. */
			kill_pid(session->pid, SIGKILL, 1);
	}
	fput(session->pipe);
	return error;
}

static int start_session(void)
{
	struct file *image = bf_image();
	struct bf_session *session;
	int error;

	if (IS_ERR(image))
		return PTR_ERR(image);
	session = bf_session_new();
	if (!session)
		return -ENOMEM;
	session->image = image;
	error = attach_and_execute(session);
	bf_session_put(session);
	return error;
}

static void start_helper(struct work_struct *work)
{
	int error;

	if (bf_session_exists())
		return;
	if (bf_previous && is_alive(bf_previous)) {
		queue_delayed_work(bf_workqueue, &bf_start, msecs_to_jiffies(10));
		return;
	}
	error = start_session();
	if (error) {
		pr_err_ratelimited("cannot start the helper (error %d)\n", error);
		bf_queue_refuse(error == -ENOMEM ? -ENOMEM : -ENOENT);
	}
}

int bf_helper_init(void)
{
	bf_workqueue = alloc_ordered_workqueue("bpfilter", 0);
	return bf_workqueue ? 0 : -ENOMEM;
}

void bf_helper_exit(void)
{
	cancel_delayed_work_sync(&bf_start);
	cancel_delayed_work_sync(&bf_watch);
	if (bf_workqueue)
		destroy_workqueue(bf_workqueue);
	bf_pipe_wait_closed();
	while (bf_previous && is_alive(bf_previous))
		schedule_timeout_uninterruptible(1);
	put_pid(bf_previous);
	bf_image_exit();
}
