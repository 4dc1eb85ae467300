/* SPDX-License-Identifier: GPL-2.0 */
/* The application reads: as from TCP, up to the gate. */
#ifndef KMOD_STAP_RECV_H
#define KMOD_STAP_RECV_H

#include <linux/fs.h>
#include <linux/socket.h>

struct pipe_inode_info;
struct sock;
struct socket;

int stap_recvmsg(struct sock *sk, struct msghdr *message, size_t size, int flags, int *addr_len);
ssize_t stap_splice_read(struct socket *sock, loff_t *position, struct pipe_inode_info *pipe,
			 size_t size, unsigned int flags);

#endif /* KMOD_STAP_RECV_H */
