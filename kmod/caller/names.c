// SPDX-License-Identifier: GPL-2.0
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "caller/names.h"

/*
 * Those who want iptables often load its modules first, or look whether they are there: from
 * a container, too, which has modprobe and /lib/modules, but not what this machine has in
 * /etc/modprobe.d. There they would get ip_tables itself, whose files in /proc are here
 * already, which is worth a WARN to the kernel. So these names are in /sys/module, as those
 * of what is built in are, but live, which is enough for modprobe; and ip_tables that comes
 * all the same is told that it is there. Modules of its tables cannot: they lack its symbols.
 */
static const char * const names[] = {
	"ip_tables", "iptable_filter", "iptable_mangle", "iptable_nat", "iptable_raw",
	"iptable_security", "ip6_tables", "ip6table_filter", "ip6table_mangle", "ip6table_nat",
	"ip6table_raw", "ip6table_security",
};

static struct kobject *shown[ARRAY_SIZE(names)];

static ssize_t initstate_show(struct kobject *kobj, struct kobj_attribute *attribute, char *buffer)
{
	return sysfs_emit(buffer, "live\n");
}

static struct kobj_attribute initstate = __ATTR_RO(initstate);

static int module_comes(struct notifier_block *block, unsigned long state, void *data)
{
	const struct module *module = data;

	if (state == MODULE_STATE_COMING &&
	    (!strcmp(module->name, "ip_tables") || !strcmp(module->name, "ip6_tables")))
		return notifier_from_errno(-EEXIST);
	return NOTIFY_DONE;
}

static struct notifier_block modules = { .notifier_call = module_comes };

int bpfilter_names_init(void)
{
	return register_module_notifier(&modules);
}

/* Iptables does without; what is not shown is no reason to fail. */
void bpfilter_names_show(void)
{
	struct kobject *parent = THIS_MODULE->mkobj.kobj.parent;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		shown[i] = kobject_create_and_add(names[i], parent);
		if (shown[i] && sysfs_create_file(shown[i], &initstate.attr)) {
			kobject_put(shown[i]);
			shown[i] = NULL;
		}
	}
}

void bpfilter_names_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		kobject_put(shown[i]);
	unregister_module_notifier(&modules);
}
