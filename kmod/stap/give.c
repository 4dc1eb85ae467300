// SPDX-License-Identifier: GPL-2.0
/*
 * TCP copies what is written to it into the rest of a page that is kept for that (sk_page_frag()),
 * and makes what it copied part of its last skb. What is given here is in such a page already. So
 * for one call of tcp_sendmsg_locked() it takes that page's place, and what TCP is told to copy
 * there is a message whose bytes are discarded. Nothing is copied, and what is next to each other
 * in a page becomes one fragment, as if TCP had put it there. (MSG_SPLICE_PAGES makes a fragment of
 * each 4 KiB, for each of which the receiver pays again.)
 *
 * TCP would take another page, which nobody has judged, if it had the last reference to this one,
 * or if there were little room behind it: so there is a reference more, and room is said to be.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "stap/give.h"

static int give(struct sock *sk, const struct bio_vec *piece, u32 size, struct msghdr *message)
{
	struct page_frag *place = sk_page_frag(sk);
	const struct page_frag own = *place;
	int result;

	message->msg_iter = (struct iov_iter){
		.iter_type = ITER_DISCARD, .data_source = ITER_SOURCE, .count = size,
	};
	get_page(piece->bv_page);
	*place = (struct page_frag){
		.page = piece->bv_page,
		.offset = piece->bv_offset,
		.size = piece->bv_offset + size + PAGE_SIZE,
	};
	result = tcp_sendmsg_locked(sk, message, size);
	if (WARN_ON_ONCE(place->page != piece->bv_page))
		result = -EIO;
	*place = own;
	put_page(piece->bv_page);
	return result;
}

static int copy_all(struct sock *sk, const struct bio_vec *piece, u32 count, u32 size,
		    struct msghdr *message)
{
	iov_iter_bvec(&message->msg_iter, ITER_SOURCE, piece, count, size);
	return tcp_sendmsg_locked(sk, message, size);
}

int stap_give(struct sock *sk, const struct bio_vec *piece, u32 count, u32 size, int flags,
	      const struct msghdr *control)
{
	struct msghdr message = {
		.msg_flags = flags,
		.msg_control = control->msg_control,
		.msg_controllen = control->msg_controllen,
	};
	/* What belongs to the last byte. */
	const int before = (flags & ~(MSG_OOB | MSG_EOR)) | MSG_MORE;
	u32 given = 0;

	/* One call for all: TCP notes the time of the last byte of each. */
	if (control->msg_controllen || READ_ONCE(sk->sk_tsflags))
		return copy_all(sk, piece, count, size, &message);
	for (; given < size; piece++) {
		const u32 some = min(size - given, piece->bv_len);
		int result;

		message.msg_flags = given + some < size ? before : flags;
		result = give(sk, piece, some, &message);
		if (result < 0)
			return given ?: result;
		given += result;
		if (result < some)
			break;
	}
	return given;
}
