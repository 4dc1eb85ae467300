/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bytes in pages, a queue: struct stap_buffer. Its memory is on the socket's account. All with
 * the socket locked.
 */
#ifndef KMOD_STAP_BUFFER_H
#define KMOD_STAP_BUFFER_H

#include <linux/types.h>

struct iov_iter;
struct sock;
struct stap_buffer;
struct stap_view;

/* Copies; returns how many bytes, which may be fewer, or ENOMEM, EFAULT. */
ssize_t stap_buffer_append(struct sock *sk, struct stap_buffer *buffer, struct iov_iter *from,
			   size_t size);
/* A stretch, to be looked at. ENOMEM. */
int stap_buffer_view(const struct stap_buffer *buffer, struct stap_view *view, u32 offset,
		     u32 size);
/* The first bytes are gone, their charge included. */
void stap_buffer_drop(struct sock *sk, struct stap_buffer *buffer, u32 size);
/* Somebody else has them, and has been charged. */
void stap_buffer_skip(struct stap_buffer *buffer, u32 size);
/* And the list of pieces itself. */
void stap_buffer_free(struct sock *sk, struct stap_buffer *buffer);

/* The next so many bytes are charged already, whatever the limits; for what cannot be refused. */
void stap_reserve(struct sock *sk, u32 size);

#endif /* KMOD_STAP_BUFFER_H */
