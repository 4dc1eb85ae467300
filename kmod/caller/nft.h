/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KMOD_CALLER_NFT_H
#define KMOD_CALLER_NFT_H

/* Says in the kernel log so if the machine's iptables is one that never comes here. */
void bpfilter_nft_look(void);

#endif /* KMOD_CALLER_NFT_H */
