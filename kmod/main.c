// SPDX-License-Identifier: GPL-2.0
/*
 * bpfilter.ko: takes the place of ip_tables. It carries the requests of iptables to the
 * helper, which makes BPF programs of rules, and runs these at the netfilter hooks.
 */
#include <linux/build_bug.h>
#include <linux/module.h>
#include <linux/sched.h>

#include <bpfilter/context.h>
#include <bpfilter/xdp.h>

#include "caller/built_in.h"
#include "caller/names.h"
#include "caller/nft.h"
#include "caller/proc.h"
#include "caller/sockopt.h"
#include "packet/hook.h"
#include "packet/instance.h"
#include "packet/quirk.h"
#include "pernet.h"
#include "pipe/helper.h"
#include "request/session.h"
#include "request/turn.h"
#include "xdp/attach.h"
#include "xdp/watch.h"

/* The contract with the helper, as its own tests have it. */
static_assert(sizeof(struct bpfilter_request_header) == 40);
static_assert(sizeof(struct bpfilter_reply_header) == 24);
static_assert(sizeof(struct bpfilter_settings) == 12);
static_assert(sizeof(struct bpfilter_init) == 28);
static_assert(sizeof(struct bpfilter_table_name) == 32);
static_assert(sizeof(struct bpfilter_get_entries) == 40);
static_assert(sizeof(struct bpfilter_count) == 8);
static_assert(sizeof(struct bpfilter_commit_hook) == 16);
static_assert(sizeof(struct bpfilter_commit) == 168);
static_assert(sizeof(struct bpfilter_kept) == 48);
static_assert(sizeof(struct bpfilter_give) == 32);
static_assert(sizeof(struct bpfilter_commit_records) == 200);
static_assert(sizeof(struct bpfilter_check) == 24);
static_assert(sizeof(struct bpfilter_check_entry) == 8);
static_assert(sizeof(struct bpfilter_look_device) == 32);
static_assert(sizeof(struct bpfilter_look_address) == 8);
static_assert(sizeof(struct bpfilter_look_link) == 8);
static_assert(sizeof(struct bpfilter_look) == 56);
static_assert(sizeof(struct bpfilter_attach) == 40);
static_assert(sizeof(struct bpfilter_detach) == 16);
static_assert(sizeof(struct bpfilter_context) == 64);

/*
 * A module that fails to load is freed without asking who is in it. Whoever came by what
 * had been registered holds it: until there is nobody but the one who loads it.
 */
static void __init wait_until_unused(void)
{
	while (module_refcount(THIS_MODULE) > 1)
		schedule_timeout_uninterruptible(1);
}

/*
 * What fails, if anything does, are the socket options, since ip_tables or ip6_tables has
 * them. Behind them comes what cannot fail, or must not be tried if they are not ours (the
 * files in /proc: ip_tables has files of that name). They are opened last of all.
 */
static int __init bpfilter_init(void)
{
	int error;

	bpfilter_turn_init();
	error = bpfilter_quirk_init();
	if (error)
		return error;
	error = bpfilter_instances_init();
	if (error)
		return error;
	error = bpfilter_helper_init();
	if (error)
		goto err_helper;
	error = bpfilter_pernet_init();
	if (error)
		goto err_pernet;
	error = bpfilter_watch_init();
	if (error)
		goto err_watch;
	error = bpfilter_names_init();
	if (error)
		goto err_names;
	error = bpfilter_sockopt_init();
	if (error)
		goto err_sockopt;
	error = bpfilter_proc_init();
	if (error)
		goto err_proc;
	error = bpfilter_built_in_init();
	if (error)
		goto err_built_in;
	bpfilter_sockopt_open();
	bpfilter_names_show();
	bpfilter_nft_look();
	return 0;

err_built_in:
	bpfilter_proc_exit();
err_proc:
	bpfilter_sockopt_exit();
err_sockopt:
	bpfilter_names_exit();
err_names:
	wait_until_unused();
	bpfilter_watch_exit();
err_watch:
	bpfilter_pernet_exit();
	bpfilter_attach_exit();
err_pernet:
	bpfilter_queue_stop();
	bpfilter_helper_exit();
err_helper:
	bpfilter_instances_exit();
	return error;
}

/* No caller is inside: they hold the module. Neither does any table have rules. */
static void __exit bpfilter_exit(void)
{
	bpfilter_sockopt_exit();
	bpfilter_queue_stop();
	bpfilter_proc_exit();
	bpfilter_built_in_exit();
	bpfilter_names_exit();
	bpfilter_helper_exit();
	bpfilter_watch_exit();
	bpfilter_pernet_exit();
	bpfilter_attach_exit();
	bpfilter_instances_exit();
}

module_init(bpfilter_init);
module_exit(bpfilter_exit);

MODULE_DESCRIPTION("iptables rules as BPF programs");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
MODULE_SOFTDEP("post: bpfilter_umh");
