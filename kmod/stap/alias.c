// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/file.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>

#include "alias.h"
#include "cgroup.h"
#include "option.h"

enum { SET, GET, LINKS };

static const struct stap_cgroup_program programs[LINKS] = {
	[SET] = { "stap_set", BPF_CGROUP_SETSOCKOPT, stap_option_set },
	[GET] = { "stap_get", BPF_CGROUP_GETSOCKOPT, stap_option_get },
};

static DEFINE_MUTEX(lock); /* of all below */
static bool wanted = true;
static bool ready; /* the module is there, whose option the alias stands for */
static struct file *links[LINKS];

static void detach(void)
{
	int i;

	for (i = 0; i < LINKS; i++) {
		if (!IS_ERR_OR_NULL(links[i]))
			fput(links[i]);
		links[i] = NULL;
	}
}

static int attach(void)
{
	int error;

	if (links[SET])
		return 0;
	error = stap_cgroup_attach(programs, LINKS, links);
	if (!error && IS_ERR(links[SET])) {
		error = PTR_ERR(links[SET]);
		detach();
	}
	if (!error && IS_ERR(links[GET]))
		pr_notice("getsockopt() does not know SO_ULP (error %ld)\n", PTR_ERR(links[GET]));
	return error;
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

void stap_alias_exit(void)
{
	mutex_lock(&lock);
	ready = false;
	detach();
	mutex_unlock(&lock);
}
