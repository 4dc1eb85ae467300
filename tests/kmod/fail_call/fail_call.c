// SPDX-License-Identifier: GPL-2.0
/*
 * While this module is loaded, one call of a function of the kernel fails: the `nth` of those
 * that the module `caller` makes. It does nothing and returns `error`. `hits` says whether it
 * came to that. With `hold` it does not fail but waits there until that is cleared.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
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
static bool hold;
module_param(hold, bool, 0644);

static struct kprobe probe;
static atomic_t calls, held;

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

/* In the place of a function that is held, which it calls. Not counted a second time: we call it. */
static long wait_and_call(long a, long b, long c, long d, long e, long f)
{
	long (*function)(long a, long b, long c, long d, long e, long f) = (void *)probe.addr;
	long result;

	while (READ_ONCE(hold))
		msleep(10);
	result = function(a, b, c, d, e, f);
	atomic_dec(&held);
	return result;
}

static int enter(struct kprobe *unused, struct pt_regs *regs)
{
	if (!is_by_caller(regs) || atomic_inc_return(&calls) != nth)
		return 0;
	hits++;
	if (READ_ONCE(hold)) {
		atomic_inc(&held);
		instruction_pointer_set(regs, (unsigned long)wait_and_call);
		return 1;
	}
	regs_set_return_value(regs, error);
	instruction_pointer_set(regs, (unsigned long)fail_call_return);
	return 1;
}
NOKPROBE_SYMBOL(enter);

/* Only so that it is a probe that may go elsewhere. */
static void after(struct kprobe *unused, struct pt_regs *regs, unsigned long flags)
{
}

static int __init fail_call_init(void)
{
	probe.symbol_name = symbol;
	probe.pre_handler = enter;
	probe.post_handler = after;
	return register_kprobe(&probe);
}

static void __exit fail_call_exit(void)
{
	WRITE_ONCE(hold, false);
	while (atomic_read(&held))
		msleep(10);
	unregister_kprobe(&probe);
	/* Until whoever was held has left our text. */
	synchronize_rcu_tasks();
}

module_init(fail_call_init);
module_exit(fail_call_exit);

MODULE_DESCRIPTION("A function of the kernel that fails");
MODULE_LICENSE("GPL");
