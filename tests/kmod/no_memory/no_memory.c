// SPDX-License-Identifier: GPL-2.0
/*
 * While this module is loaded there is no memory for the tap of a socket: what stap_new()
 * has allocated is freed as it returns, and its caller gets NULL.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/slab.h>

static int forget(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	kfree((void *)regs_return_value(regs));
	regs_set_return_value(regs, 0);
	return 0;
}

static struct kretprobe probe = {
	.kp.symbol_name = "stap:stap_new",
	.handler = forget,
	.maxactive = 16,
};

static int __init no_memory_init(void)
{
	return register_kretprobe(&probe);
}

/* One that was missed would have been given memory: say so. */
static void __exit no_memory_exit(void)
{
	unregister_kretprobe(&probe);
	if (probe.nmissed)
		pr_warn("no_memory: missed %d\n", probe.nmissed);
}

module_init(no_memory_init);
module_exit(no_memory_exit);

MODULE_DESCRIPTION("No memory for taps");
MODULE_LICENSE("GPL");
