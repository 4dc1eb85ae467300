// SPDX-License-Identifier: GPL-2.0
/*
 * bpfilter_umh.ko: the executable of bpfilter's helper, as data. bpfilter.ko copies it
 * and needs the module no more.
 */
#include <linux/init.h>
#include <linux/module.h>

#include "pipe/image.h"

struct bpfilter_umh_image bpfilter_umh_image __ro_after_init;
EXPORT_SYMBOL_GPL(bpfilter_umh_image);

static int __init bpfilter_umh_init(void)
{
	bpfilter_umh_image.start = bpfilter_umh_image_start;
	bpfilter_umh_image.size = bpfilter_umh_image_size;
	return 0;
}

/* Only so that the module can be removed. */
static void __exit bpfilter_umh_exit(void)
{
}

module_init(bpfilter_umh_init);
module_exit(bpfilter_umh_exit);

MODULE_DESCRIPTION("the helper of bpfilter");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
