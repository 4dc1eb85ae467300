// SPDX-License-Identifier: GPL-2.0
#include <linux/compiler.h>
#include <linux/jiffies.h>

#include "base/settings.h"

struct bpfilter_parameters bpfilter_parameters = {
	.xdp = BPFILTER_XDP_AUTO,
	.xdp_rate = 10000,
	.form = BPFILTER_FORM_AUTO,
	.deadline = 60,
};

struct bpfilter_settings bpfilter_get_settings(void)
{
	return (struct bpfilter_settings){
		.xdp = READ_ONCE(bpfilter_parameters.xdp),
		.rate = READ_ONCE(bpfilter_parameters.xdp_rate),
		.form = READ_ONCE(bpfilter_parameters.form),
	};
}

unsigned long bpfilter_deadline(void)
{
	return (unsigned long)READ_ONCE(bpfilter_parameters.deadline) * HZ;
}
