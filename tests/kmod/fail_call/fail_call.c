// SPDX-License-Identifier: GPL-2.0
/*
 * While this module is loaded, one call of a function of the kernel fails: the `nth` of those
 * that the module `caller` makes. It does nothing and returns `error`. `hits` says whether it
 * came to that.
 */
#include <linux/atomic.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/string.h>
#include <asm/ibt.h>

static char *symbol = "";
module_param(symbol, charp, 0444);
static char *caller = "";
module_param(caller, charp, 0444);
static int nth = 1;
module_param(nth, int, 0444);
static long error = -ENOMEM;
module_param(error, long, 0444);
static int hits;
module_param(hits, int, 0444);

static atomic_t calls;

/* Where a call that fails goes instead: back to its caller. */
void fail_call_return(void);
asm(".pushsection .text, \"ax\"\n"
    ".type fail_call_return, @function\n"
    "fail_call_return:\n"
    ASM_ENDBR
    ASM_RET
    ".size fail_call_return, . - fail_call_return\n"
    ".popsection\n");

/* Whose function it will return to. */
static bool is_by_caller(const struct pt_regs *regs)
{
	char name[KSYM_SYMBOL_LEN], module[MODULE_NAME_LEN + 2];

	snprintf(name, sizeof(name), "%ps", *(void **)kernel_stack_pointer((struct pt_regs *)regs));
	snprintf(module, sizeof(module), "[%s]", caller);
	return strstr(name, module);
}
NOKPROBE_SYMBOL(is_by_caller);

static int enter(struct kprobe *probe, struct pt_regs *regs)
{
	if (!is_by_caller(regs) || atomic_inc_return(&calls) != nth)
		return 0;
	hits++;
	regs_set_return_value(regs, error);
	instruction_pointer_set(regs, (unsigned long)fail_call_return);
	return 1;
}
NOKPROBE_SYMBOL(enter);

/* Only so that it is a probe that may go elsewhere. */
static void after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe probe = { .pre_handler = enter, .post_handler = after };

static int __init fail_call_init(void)
{
	probe.symbol_name = symbol;
	return register_kprobe(&probe);
}

static void __exit fail_call_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(fail_call_init);
module_exit(fail_call_exit);

MODULE_DESCRIPTION("A function of the kernel that fails");
MODULE_LICENSE("GPL");
