/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_STAP_ASK_H
#define KMOD_STAP_ASK_H

struct bpfilter_call;

/* bpfilter_call(), wherever bpfilter.ko is or can be loaded; else -ENOENT. */
int stap_ask(const struct bpfilter_call *call, void **gift);

#endif /* KMOD_STAP_ASK_H */
