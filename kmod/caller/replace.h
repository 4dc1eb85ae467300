/* SPDX-License-Identifier: GPL-2.0 */
/* IPT_SO_SET_REPLACE and that of IPv6. */
#ifndef KMOD_CALLER_REPLACE_H
#define KMOD_CALLER_REPLACE_H

#include <linux/sockptr.h>

struct bpfilter_request;

int bpfilter_replace(struct bpfilter_request *request, sockptr_t from, unsigned int length);

#endif /* KMOD_CALLER_REPLACE_H */
