/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IOC_CHECK: which entries of a REPLACE the kernel is to check. The helper says so, and when it has
 * answered, whoever waits in setsockopt does it.
 */
#ifndef KMOD_REQUEST_CHECK_H
#define KMOD_REQUEST_CHECK_H

#include <linux/types.h>

struct bpfilter_check;
struct bpfilter_check_list;
struct bpfilter_instances;
struct bpfilter_request;

/* By who holds the request. */
int bpfilter_check_take(struct bpfilter_request *request, const struct bpfilter_check *check);
/*
 * By its caller, when it is done: checks them all, rewrites them in its payload as a listing shows
 * them, and gives what became of them. ERR_PTR(): what the caller gets, who may have been killed.
 */
struct bpfilter_instances *bpfilter_check_carry_out(struct bpfilter_request *request);

#endif /* KMOD_REQUEST_CHECK_H */
