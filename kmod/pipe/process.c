// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kmod.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>

#include "pipe/process.h"
#include "request/queue.h"

bool bpfilter_process_is_alive(struct pid *pid)
{
	struct task_struct *task;
	bool alive;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	alive = task && !(READ_ONCE(task->exit_state) && thread_group_empty(task));
	rcu_read_unlock();
	return alive;
}

/*
 * Everybody needs it, and what it takes itself is bounded: 6 times what is in work (turn.h,
 * queue.c), and what it remembers (keep.h). So others go first when memory is short, but one that
 * has grown to nine tenths of the machine all the same goes before everything else does.
 */
#define OOM_SCORE_ADJ (-900)

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

/*
 * What it needs of root: to load programs and maps (BPF; without PERFMON the verifier takes it
 * for somebody who guesses at memory by speculation, and makes programs slow or refuses them),
 * those that see packets (NET_ADMIN), and to enter network namespaces and find a program by its
 * id (SYS_ADMIN). What it might execute may do no more.
 */
static void drop_capabilities(struct cred *cred)
{
	kernel_cap_t needed = CAP_EMPTY_SET;

	cap_raise(needed, CAP_BPF);
	cap_raise(needed, CAP_PERFMON);
	cap_raise(needed, CAP_NET_ADMIN);
	cap_raise(needed, CAP_SYS_ADMIN);
	cred->cap_bset = cap_intersect(cred->cap_bset, needed);
	cred->cap_permitted = cap_intersect(cred->cap_permitted, needed);
	cred->cap_effective = cap_intersect(cred->cap_effective, needed);
	cred->cap_inheritable = CAP_EMPTY_SET;
	cred->cap_ambient = CAP_EMPTY_SET;
}

/* In the new process, before it becomes the helper: 0 the pipe, 1 and 2 the kernel log. */
static int enter(struct subprocess_info *info, struct cred *new)
{
	struct bpfilter_session *session = info->data;
	int fd;

	/* Copied from a table that kworkers share, and one of them may be at work just then. */
	for (fd = 0; fd < 3; fd++)
		close_fd(fd);
	fd = install(session->pipe, 0);
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
	drop_capabilities(new);
	current->signal->oom_score_adj = OOM_SCORE_ADJ;
	return 0;
}

int bpfilter_process_start(struct bpfilter_session *session)
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
