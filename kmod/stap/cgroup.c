// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's way for a module to load BPF is that of light skeletons: what a process would do,
 * by kern_sys_bpf(), which gives descriptors. They are those of a kernel thread here, where nobody
 * can take them, and with its rights and namespaces, whoever has asked for it.
 */
#include <linux/bpf.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "base/compat.h"
#include "stap/cgroup.h"
#include "stap/compat.h"
#include "stap/option.h"

BPFILTER_IMPORT_BPF_INTERNAL;

struct attachment {
	struct work_struct work;
	const struct stap_cgroup_program *program;
	u32 count;
	struct file **link;
	int error;
};

static void take_root(struct super_block *super, void *found)
{
	struct dentry **root = found;

	if (!*root && atomic_inc_not_zero(&super->s_active))
		*root = dget(super->s_root);
}

static struct vfsmount *mount_as_it_is(struct file_system_type *type, struct dentry *root)
{
	struct fs_context *context = fs_context_for_mount(type, SB_KERNMOUNT);
	struct super_block *super = root->d_sb;
	struct vfsmount *mount;

	if (IS_ERR(context)) {
		dput(root);
		deactivate_super(super);
		return ERR_CAST(context);
	}
	context->root = root; /* and what was taken with it */
	mount = vfs_create_mount(context);
	put_fs_context(context);
	return mount;
}

/*
 * A mount of our own, which is nowhere in the file system. If there is another one already, to
 * mount it as one does would set its options anew.
 */
static struct vfsmount *mount_root(void)
{
	struct file_system_type *type = get_fs_type("cgroup2");
	struct dentry *root = NULL;
	struct vfsmount *mount;

	if (!type)
		return ERR_PTR(-ENODEV);
	iterate_supers_type(type, take_root, &root);
	mount = root ? mount_as_it_is(type, root) :
		       vfs_kern_mount(type, SB_KERNMOUNT, "none", NULL);
	module_put(type->owner);
	return mount;
}

static int open_root(void)
{
	struct vfsmount *mount = mount_root();
	struct file *file;
	int fd;

	if (IS_ERR(mount))
		return PTR_ERR(mount);
	file = dentry_open(&(struct path){ .mnt = mount, .dentry = mount->mnt_root },
			   O_RDONLY | O_DIRECTORY, current_cred());
	mntput(mount);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		fput(file);
	else
		fd_install(fd, file);
	return fd;
}

static int load(const struct stap_cgroup_program *program)
{
	struct stap_option_code *code = kzalloc(sizeof(*code), GFP_KERNEL);
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_SOCKOPT,
		.expected_attach_type = program->type,
		.license = (unsigned long)"GPL",
	};
	int fd;

	if (!code)
		return -ENOMEM;
	program->write(code);
	attr.insns = (unsigned long)code->insn;
	attr.insn_cnt = code->count;
	strscpy(attr.prog_name, program->name, sizeof(attr.prog_name));
	fd = kern_sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	kfree(code);
	return fd;
}

static int link(int cgroup, const struct stap_cgroup_program *program)
{
	union bpf_attr attr = {};
	int fd = load(program);

	if (fd < 0)
		return fd;
	attr.link_create.prog_fd = fd;
	attr.link_create.target_fd = cgroup;
	attr.link_create.attach_type = program->type;
	fd = kern_sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
	close_fd(attr.link_create.prog_fd);
	return fd;
}

static struct file *attach(int cgroup, const struct stap_cgroup_program *program)
{
	int fd = link(cgroup, program);
	struct file *file;

	if (fd < 0)
		return ERR_PTR(fd);
	file = fget(fd);
	close_fd(fd);
	return file ?: ERR_PTR(-EBADF);
}

static void attach_all(struct work_struct *work)
{
	struct attachment *all = container_of(work, struct attachment, work);
	const int cgroup = open_root();
	u32 i;

	all->error = min(cgroup, 0);
	if (cgroup < 0)
		return;
	for (i = 0; i < all->count; i++)
		all->link[i] = attach(cgroup, &all->program[i]);
	close_fd(cgroup);
}

int stap_cgroup_attach(const struct stap_cgroup_program *program, u32 count, struct file **link)
{
	struct attachment all = { .program = program, .count = count, .link = link };

	INIT_WORK_ONSTACK(&all.work, attach_all);
	queue_work(system_unbound_wq, &all.work);
	flush_work(&all.work);
	destroy_work_on_stack(&all.work);
	return all.error;
}
