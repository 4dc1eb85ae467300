/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SO_ULP at SOL_SOCKET, which the kernel knows nothing of: BPF programs at the root of the control
 * groups (option.c) make STAP_SO_ULP at SOL_IP of it. Their links are held here, so they are in
 * force while this module is loaded and its parameter so_ulp is set. Everybody's socket options
 * pay for them: the one for getsockopt() is not there before there is something to get.
 */
#ifndef KMOD_STAP_ALIAS_H
#define KMOD_STAP_ALIAS_H

/* If somebody else's programs keep them out there is no alias, which the log says; no error. */
void stap_alias_init(void);
void stap_alias_exit(void);

/* A socket has got a protocol by this module, natively or not. It may sleep. */
void stap_alias_used(void);

#endif /* KMOD_STAP_ALIAS_H */
