/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SO_ULP at SOL_SOCKET, which the kernel knows nothing of: BPF programs of the helper's at the
 * root of the control groups make STAP_SO_ULP at SOL_IP of it. Their links are held here, so they
 * are in force while this module is loaded and its parameter so_ulp is set.
 */
#ifndef KMOD_STAP_ALIAS_H
#define KMOD_STAP_ALIAS_H

/* Without the helper there is no alias, which the log says; that is no error. */
void stap_alias_init(void);
void stap_alias_exit(void);

#endif /* KMOD_STAP_ALIAS_H */
