// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>

#include "../call.h"
#include "alias.h"
#include "ask.h"
#include "stap.h"

#define LINKS 2 /* of setsockopt, of getsockopt */

static DEFINE_MUTEX(lock); /* of all below */
static bool wanted = true;
static bool ready; /* the module is there, whose option the alias stands for */
static struct file *links[LINKS];

static void *take(s32 fd)
{
	struct file *file = fget(fd);

	return file ?: ERR_PTR(-EBADF);
}

static void drop(void *file)
{
	fput(file);
}

static const struct bpfilter_gift_kind files = {
	.owner = THIS_MODULE,
	.take = take,
	.drop = drop,
};

static_assert(offsetof(struct stap_direction, bytes) ==
	      offsetof(struct stap_direction, messages) + sizeof(u64));
static_assert(offsetof(struct stap_direction, dropped) ==
	      offsetof(struct stap_direction, messages) + 2 * sizeof(u64));

/* For the program of getsockopt, which finds its way from a socket by these. */
static const struct bpfilter_so_ulp places = {
	.ulp_ops = offsetof(struct inet_connection_sock, icsk_ulp_ops),
	.ulp_name = offsetof(struct tcp_ulp_ops, name),
	.ulp_data = offsetof(struct inet_connection_sock, icsk_ulp_data),
	.direction = { offsetof(struct stap, send), offsetof(struct stap, recv) },
	.program = { offsetof(struct stap_direction, parse),
		     offsetof(struct stap_direction, verdict) },
	.counts = offsetof(struct stap_direction, messages),
	.program_aux = offsetof(struct bpf_prog, aux),
	.program_id = offsetof(struct bpf_prog_aux, id),
};

static void detach(void)
{
	int i;

	for (i = 0; i < LINKS; i++) {
		if (links[i])
			fput(links[i]);
		links[i] = NULL;
	}
}

static int attach(void)
{
	const struct bpfilter_call call = {
		.opcode = BPFILTER_OP_SO_ULP,
		.body = &places,
		.length = sizeof(places),
		.kind = &files,
		.count = LINKS,
	};
	void *gift[LINKS];
	int error, i;

	if (links[0])
		return 0;
	error = stap_ask(&call, gift);
	if (error)
		return error;
	for (i = 0; i < LINKS; i++)
		links[i] = gift[i];
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

void stap_alias_exit(void)
{
	mutex_lock(&lock);
	ready = false;
	detach();
	mutex_unlock(&lock);
}
