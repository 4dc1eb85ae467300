/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two BPF programs by which SO_ULP at SOL_SOCKET is STAP_SO_ULP at SOL_IP: one changes what
 * setsockopt() asks for, the other answers getsockopt() itself.
 */
#ifndef KMOD_STAP_OPTION_H
#define KMOD_STAP_OPTION_H

#include <linux/filter.h>
#include <linux/types.h>

#define STAP_OPTION_MOST 320 /* instructions */

struct stap_option_code {
	u32 count;
	struct bpf_insn insn[STAP_OPTION_MOST];
};

void stap_option_set(struct stap_option_code *code);
void stap_option_get(struct stap_option_code *code);

#endif /* KMOD_STAP_OPTION_H */
