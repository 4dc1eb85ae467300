// SPDX-License-Identifier: GPL-2.0
#include <linux/kmod.h>
#include <linux/minmax.h>
#include <linux/netfilter/x_tables.h>

#include "caller/revision.h"

int bpfilter_revision_find(u8 family, const char *name, u8 revision, bool target)
{
	int result;

	try_then_request_module(xt_find_revision(family, name, revision, target, &result),
				"%st_%s", family == NFPROTO_IPV4 ? "ip" : "ip6", name);
	/* Otherwise the newest revision there is, which nobody wants to know. */
	return min(result, 0);
}
