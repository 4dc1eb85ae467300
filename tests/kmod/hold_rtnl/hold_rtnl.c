// SPDX-License-Identifier: GPL-2.0
/*
 * While this module is loaded, RTNL is held, as it is for long where many devices come, go and
 * move.
 */
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

static DECLARE_COMPLETION(held);
static struct task_struct *holder;

static int hold(void *unused)
{
	rtnl_lock();
	complete(&held);
	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	rtnl_unlock();
	return 0;
}

static int __init hold_rtnl_init(void)
{
	holder = kthread_run(hold, NULL, "hold_rtnl");
	if (IS_ERR(holder))
		return PTR_ERR(holder);
	wait_for_completion(&held);
	return 0;
}

static void __exit hold_rtnl_exit(void)
{
	kthread_stop(holder);
}

module_init(hold_rtnl_init);
module_exit(hold_rtnl_exit);

MODULE_DESCRIPTION("RTNL is held");
MODULE_LICENSE("GPL");
