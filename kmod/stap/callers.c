// SPDX-License-Identifier: GPL-2.0
#include <linux/wait.h>
#include <net/sock.h>

#include "stap/callers.h"

/*
 * Who polls is in the socket's wait queue too, but with a function of its own, and comes back for
 * every look. All that TCP waits for itself it waits for in these two ways, and is in the queue
 * until it has the socket's lock again.
 */
static bool waits_in_tcp(const struct wait_queue_entry *entry)
{
	return entry->func == woken_wake_function || entry->func == autoremove_wake_function;
}

static bool any_waits(struct sock *sk)
{
	struct wait_queue_head *queue = sk_sleep(sk);
	const struct wait_queue_entry *entry;
	unsigned long flags;
	bool found = false;

	spin_lock_irqsave(&queue->lock, flags);
	list_for_each_entry(entry, &queue->head, entry)
		found |= waits_in_tcp(entry);
	spin_unlock_irqrestore(&queue->lock, flags);
	return found;
}

int stap_callers(struct sock *sk)
{
	bool locked_out;

	if (any_waits(sk))
		return -EBUSY;
	spin_lock_bh(&sk->sk_lock.slock);
	/* Who comes adds himself with this lock held. */
	locked_out = waitqueue_active(&sk->sk_lock.wq);
	spin_unlock_bh(&sk->sk_lock.slock);
	return locked_out ? -EAGAIN : 0;
}
