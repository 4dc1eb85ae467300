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
/* SO_PEEK_OFF: not in the middle of a peek, which would go beyond the gate. Without the lock. */
int stap_set_peek_off(struct sock *sk, int value);

#endif /* KMOD_STAP_RECV_H */
