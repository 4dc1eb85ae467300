// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/file.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>

#include "stap/alias.h"
#include "stap/cgroup.h"
#include "stap/option.h"

enum { SET, GET, LINKS };

static const struct stap_cgroup_program programs[LINKS] = {
	[SET] = { "stap_set", BPF_CGROUP_SETSOCKOPT, stap_option_set },
	[GET] = { "stap_get", BPF_CGROUP_GETSOCKOPT, stap_option_get },
};

static DEFINE_MUTEX(lock); /* of all below */
static bool wanted = true;
static bool ready; /* the module is there, whose option the alias stands for */
static bool used; /* there has been something to get */
static struct file *links[LINKS];

static void detach(void)
{
	int i;

	for (i = 0; i < LINKS; i++) {
		if (links[i])
			fput(links[i]);
		links[i] = NULL;
	}
}

static int attach_one(int which)
{
	struct file *link;
	int error;

	if (links[which])
		return 0;
	error = stap_cgroup_attach(&programs[which], 1, &link);
	if (!error)
		error = PTR_ERR_OR_ZERO(link);
	if (!error)
		links[which] = link;
	return error;
}

static int attach(void)
{
	int error = attach_one(SET), none;

	if (error || !used)
		return error;
	none = attach_one(GET);
	if (none)
		pr_notice("getsockopt() does not know SO_ULP (error %d)\n", none);
	return 0;
}

/* /sys/module/stap/parameters/so_ulp, or at load. */
static int set_wanted(const char *value, const struct kernel_param *param)
{
	bool want;
	int error;

	error = kstrtobool(value, &want);
	if (error)
		return error;
	mutex_lock(&lock);
	if (!want)
		detach();
	else if (ready)
		error = attach();
	if (!error)
		wanted = want;
	mutex_unlock(&lock);
	return error;
}

static const struct kernel_param_ops wanted_ops = {
	.set = set_wanted,
	.get = param_get_bool,
};

module_param_cb(so_ulp, &wanted_ops, &wanted, 0644);
MODULE_PARM_DESC(so_ulp, "SO_ULP at SOL_SOCKET, by BPF programs that see every setsockopt (Y)");

void stap_alias_init(void)
{
	int error = 0;

	mutex_lock(&lock);
	ready = true;
	if (wanted)
		error = attach();
	if (error)
		wanted = false;
	mutex_unlock(&lock);
	if (error)
		pr_notice("no SO_ULP at SOL_SOCKET, only natively (error %d)\n", error);
}

void stap_alias_used(void)
{
	if (READ_ONCE(used))
		return;
	mutex_lock(&lock);
	if (!used) {
		WRITE_ONCE(used, true);
		if (links[SET])
			attach();
	}
	mutex_unlock(&lock);
}

void stap_alias_exit(void)
{
	mutex_lock(&lock);
	ready = false;
	detach();
	mutex_unlock(&lock);
}
