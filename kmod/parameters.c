// SPDX-License-Identifier: GPL-2.0
/* The module's parameters; who is to know of a new value is told. */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netfilter.h>
#include <linux/string.h>

#include "base/settings.h"
#include "request/queue.h"
#include "request/request.h"
#include "xdp/watch.h"

#define DEADLINE_MAX 3600
#define RATE_MAX 1000000000

static const char *const xdp_modes[] = {
	[BPFILTER_XDP_OFF] = "off",
	[BPFILTER_XDP_AUTO] = "auto",
	[BPFILTER_XDP_GENERIC] = "generic",
	[BPFILTER_XDP_NATIVE] = "native",
};

static const char *const forms[] = {
	[BPFILTER_FORM_AUTO] = "auto",
	[BPFILTER_FORM_CODE] = "code",
	[BPFILTER_FORM_DATA] = "data",
};

static struct bpfilter_request *new_notice(void)
{
	return bpfilter_request_new(BPFILTER_OP_SETTINGS, NULL, NFPROTO_UNSPEC);
}

static void tell(struct bpfilter_request *request)
{
	struct bpfilter_settings settings;

	settings = bpfilter_get_settings();
	bpfilter_request_set_head(request, &settings, sizeof(settings));
	bpfilter_queue_notify(request);
	bpfilter_watch_settings();
}

/* What was found for the new value, or an error. */
static int choose(unsigned int *parameter, int found)
{
	struct bpfilter_request *request;

	if (found < 0)
		return found;
	request = new_notice();
	if (!request)
		return -ENOMEM;
	WRITE_ONCE(*parameter, found);
	tell(request);
	return 0;
}

static int set_xdp(const char *value, const struct kernel_param *param)
{
	return choose(&bpfilter_parameters.xdp, sysfs_match_string(xdp_modes, value));
}

static int get_xdp(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", xdp_modes[READ_ONCE(bpfilter_parameters.xdp)]);
}

static const struct kernel_param_ops xdp_ops = { .set = set_xdp, .get = get_xdp };

module_param_cb(xdp, &xdp_ops, NULL, 0644);
MODULE_PARM_DESC(xdp,
		 "early drop of leading INPUT rules at XDP: auto (in a flood; default), off, generic, native");

static int set_rate(const char *value, const struct kernel_param *param)
{
	struct bpfilter_request *request = new_notice();
	int error;

	if (!request)
		return -ENOMEM;
	error = param_set_uint_minmax(value, param, 1, RATE_MAX);
	if (error)
		bpfilter_request_put(request);
	else
		tell(request);
	return error;
}

static const struct kernel_param_ops rate_ops = { .set = set_rate, .get = param_get_uint };

module_param_cb(xdp_rate, &rate_ops, &bpfilter_parameters.xdp_rate, 0644);
MODULE_PARM_DESC(xdp_rate, "packets dropped in a second that make a flood, for xdp=auto (10000)");

static int set_form(const char *value, const struct kernel_param *param)
{
	return choose(&bpfilter_parameters.form, sysfs_match_string(forms, value));
}

static int get_form(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", forms[READ_ONCE(bpfilter_parameters.form)]);
}

static const struct kernel_param_ops form_ops = { .set = set_form, .get = get_form };

module_param_cb(form, &form_ops, NULL, 0644);
MODULE_PARM_DESC(form, "what tables that come from now on become: auto (default), code, data");

static int set_deadline(const char *value, const struct kernel_param *param)
{
	return param_set_uint_minmax(value, param, 1, DEADLINE_MAX);
}

static const struct kernel_param_ops deadline_ops = {
	.set = set_deadline,
	.get = param_get_uint,
};

module_param_cb(deadline, &deadline_ops, &bpfilter_parameters.deadline, 0644);
MODULE_PARM_DESC(deadline, "seconds the helper may take over one request (60)");
