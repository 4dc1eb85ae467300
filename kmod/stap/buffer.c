// SPDX-License-Identifier: GPL-2.0
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <net/sock.h>

#include "stap/buffer.h"
#include "stap/stap.h"
#include "stap/view.h"

#define FIRST_ROOM 8

/* For one more piece. Those in use are at the beginning afterwards. */
static int make_room(struct stap_buffer *buffer)
{
	const u32 used = buffer->count - buffer->first;
	const u32 room = max_t(u32, FIRST_ROOM, 2 * used);
	struct bio_vec *piece;

	if (buffer->count < buffer->room)
		return 0;
	piece = kvmalloc_array(room, sizeof(*piece), GFP_KERNEL_ACCOUNT);
	if (!piece)
		return -ENOMEM;
	memcpy(piece, buffer->piece + buffer->first, used * sizeof(*piece));
	kvfree(buffer->piece);
	buffer->piece = piece;
	buffer->room = room;
	buffer->first = 0;
	buffer->count = used;
	return 0;
}

static struct bio_vec *last_piece(const struct stap_buffer *buffer)
{
	return buffer->count > buffer->first ? &buffer->piece[buffer->count - 1] : NULL;
}

static bool is_behind(const struct bio_vec *last, const struct page *page, u32 offset)
{
	return last && last->bv_page == page && last->bv_offset + last->bv_len == offset;
}

/*
 * The sender's page is shared with all else that he sends. A message that comes by the byte between
 * others would be a piece and a page for each, so it goes on in pages of its own.
 */
static struct page_frag *space_of(struct sock *sk, struct stap_buffer *buffer)
{
	struct page_frag *space = sk_page_frag(sk);

	if (!buffer->size || is_behind(last_piece(buffer), space->page, space->offset))
		return space;
	return &buffer->space;
}

static void forget_space(struct stap_buffer *buffer)
{
	if (buffer->space.page)
		put_page(buffer->space.page);
	memset(&buffer->space, 0, sizeof(buffer->space));
}

static void add(struct stap_buffer *buffer, struct page *page, u32 offset, u32 size)
{
	struct bio_vec *last = last_piece(buffer);

	buffer->size += size;
	if (is_behind(last, page, offset)) {
		last->bv_len += size;
		return;
	}
	get_page(page);
	buffer->piece[buffer->count++] = (struct bio_vec) {
		.bv_page = page, .bv_offset = offset, .bv_len = size,
	};
}

/*
 * A full socket is charged by force, one that is not full may be refused (see
 * __sk_mem_raise_allocated()); but it is full or not by what TCP has, to which our bytes do not
 * belong. So it is told how full it is.
 */
static bool schedule_as_if(struct sock *sk, u32 size, int limit)
{
	const u8 locks = sk->sk_userlocks;
	const int own = sk->sk_sndbuf;
	bool done;

	sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
	WRITE_ONCE(sk->sk_sndbuf, limit);
	done = __sk_mem_schedule(sk, size - sk->sk_forward_alloc, SK_MEM_SEND);
	WRITE_ONCE(sk->sk_sndbuf, own);
	sk->sk_userlocks = locks;
	return done;
}

void stap_reserve(struct sock *sk, u32 size)
{
	if ((int)size <= sk->sk_forward_alloc)
		return;
	schedule_as_if(sk, size, 0);
	/* Who asked meanwhile whether it is writable saw a full one. */
	sk->sk_write_space(sk);
}

/* How much of it; as from TCP, a little is to be had always. */
static u32 charge(struct sock *sk, const struct stap_buffer *buffer, u32 size)
{
	int left;

	if ((int)size > sk->sk_forward_alloc && !schedule_as_if(sk, size, INT_MAX)) {
		left = sk_get_wmem0(sk, sk->sk_prot) - sk->sk_wmem_queued - (int)buffer->size;
		if (left <= 0)
			return 0;
		size = min_t(u32, size, left);
		stap_reserve(sk, size);
	}
	sk_mem_charge(sk, size);
	return size;
}

ssize_t stap_buffer_append(struct sock *sk, struct stap_buffer *buffer, struct iov_iter *from,
			   size_t size)
{
	struct page_frag *space = space_of(sk, buffer);
	int error;

	error = make_room(buffer);
	if (error)
		return error;
	if (!sk_page_frag_refill(sk, space))
		return -ENOMEM;
	size = charge(sk, buffer, min_t(size_t, size, space->size - space->offset));
	if (!size)
		return -ENOMEM;
	/*
	 * What copy_page_from_iter() does for each 4 KiB: the page's room is known, and it is never
	 * in high memory.
	 */
	if (_copy_from_iter(page_address(space->page) + space->offset, size, from) != size) {
		sk_mem_uncharge(sk, size);
		return -EFAULT;
	}
	add(buffer, space->page, space->offset, size);
	space->offset += size;
	return size;
}

int stap_buffer_view(const struct stap_buffer *buffer, struct stap_view *view, u32 offset,
		     u32 size)
{
	const struct bio_vec *piece = buffer->piece + buffer->first;
	const bool copied = size <= STAP_VIEW_COPIED;
	int error;

	for (; offset >= piece->bv_len; piece++)
		offset -= piece->bv_len;
	for (; size; piece++) {
		const u32 from = piece->bv_offset + offset;
		const u32 some = min(size, piece->bv_len - offset);

		if (copied) {
			memcpy_from_page(stap_view_put(view, some), piece->bv_page, from, some);
		} else {
			error = stap_view_add(view, piece->bv_page, from, some);
			if (error)
				return error;
		}
		offset = 0;
		size -= some;
	}
	return 0;
}

void stap_buffer_skip(struct stap_buffer *buffer, u32 size)
{
	buffer->size -= size;
	while (size) {
		struct bio_vec *piece = &buffer->piece[buffer->first];
		const u32 some = min(size, piece->bv_len);

		piece->bv_offset += some;
		piece->bv_len -= some;
		size -= some;
		if (!piece->bv_len) {
			put_page(piece->bv_page);
			buffer->first++;
		}
	}
	if (buffer->first == buffer->count) {
		buffer->first = 0;
		buffer->count = 0;
		forget_space(buffer);
	}
}

void stap_buffer_drop(struct sock *sk, struct stap_buffer *buffer, u32 size)
{
	stap_buffer_skip(buffer, size);
	sk_mem_uncharge(sk, size);
}

void stap_buffer_free(struct sock *sk, struct stap_buffer *buffer)
{
	if (buffer->size)
		stap_buffer_drop(sk, buffer, buffer->size);
	forget_space(buffer);
	kvfree(buffer->piece);
	memset(buffer, 0, sizeof(*buffer));
}
