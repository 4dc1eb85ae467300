// SPDX-License-Identifier: GPL-2.0
/*
 * While this module is loaded, descriptors 0 to 2 of the table that all kworkers share are in
 * use, as they are for a moment whenever one of them opens something.
 */
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/workqueue.h>

#define FILES 3

static int fds[FILES] = { -1, -1, -1 };

static void fill(struct work_struct *work)
{
	struct file *file = filp_open("/dev/null", O_RDWR, 0);
	int i;

	if (IS_ERR(file))
		return;
	for (i = 0; i < FILES; i++) {
		fds[i] = get_unused_fd_flags(O_CLOEXEC);
		if (fds[i] >= 0)
			fd_install(fds[i], get_file(file));
	}
	fput(file);
}

static void empty(struct work_struct *work)
{
	int i;

	for (i = 0; i < FILES; i++)
		if (fds[i] >= 0)
			close_fd(fds[i]);
}

static DECLARE_WORK(fill_work, fill);
static DECLARE_WORK(empty_work, empty);

static bool is_filled(void)
{
	int i;

	for (i = 0; i < FILES; i++)
		if (fds[i] != i)
			return false;
	return true;
}

static void run(struct work_struct *work)
{
	schedule_work(work);
	flush_work(work);
}

static int __init fill_files_init(void)
{
	run(&fill_work);
	if (is_filled())
		return 0;
	run(&empty_work);
	return -EBUSY;
}

static void __exit fill_files_exit(void)
{
	run(&empty_work);
}

module_init(fill_files_init);
module_exit(fill_files_exit);

MODULE_DESCRIPTION("Descriptors 0 to 2 of kworkers are in use");
MODULE_LICENSE("GPL");
