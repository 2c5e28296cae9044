/* SPDX-License-Identifier: MIT
 *
 * channel_tasks.c -- messages as tasks: waiting until all that were sent are done.
 *
 * What is still to be done is not counted, but follows from what was sent and what was done; so a sender
 * that dies before its message is sent leaves nothing to wait for.
 */
#define _GNU_SOURCE		/* sched_getcpu() */
#include <limits.h>

#include "channel_sides.h"
#include "futex.h"

/* One message is done; -ERANGE of more than were sent. */
int pyipc_now_channel_done(struct pyipc_channel *c)
{
	struct channel *ch = of(c);
	uint64_t done = __atomic_load_n(&ch->done, __ATOMIC_RELAXED);

	do {
		if (done >= count_of(&ch->sent))
			return -ERANGE;
		/* In one order with `done_changed` and `done_awaited`: either we see that somebody waits, or
		 * they see what is done. */
	} while (!__atomic_compare_exchange_n(&ch->done, &done, done + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	(void) __atomic_fetch_add(&ch->done_changed, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ch->done_awaited, __ATOMIC_SEQ_CST) && done + 1 >= count_of(&ch->sent)
	    && __atomic_exchange_n(&ch->done_awaited, 0, __ATOMIC_SEQ_CST))
		futex_wake(&ch->done_changed, INT_MAX);
	return 0;
}

/* Until as many are done as were sent. */
int pyipc_channel_join(struct pyipc_channel *c, int64_t deadline_ns)
{
	struct channel *ch = of(c);
	int64_t net = monotonic_ns() + NET_NS;

	for (;;) {
		int64_t now;
		uint32_t seen;

		__atomic_store_n(&ch->done_awaited, 1, __ATOMIC_SEQ_CST);
		seen = __atomic_load_n(&ch->done_changed, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&ch->done, __ATOMIC_SEQ_CST) >= count_of(&ch->sent))
			return 0;
		now = monotonic_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (now >= net)
			return -EINTR;
		if (futex_wait(&ch->done_changed, seen, deadline_ns - now < NET_NS ? deadline_ns - now : NET_NS) == -EINTR)
			return -EINTR;
	}
}
