/* SPDX-License-Identifier: MIT
 *
 * guard.c -- a lock in shared memory whose dead owner is in nobody's way.
 *
 * The word is read from memory that others write: once, and what it says is taken for no more than
 * the roster (roster.c) confirms.
 */
#define _GNU_SOURCE		/* syscall() */
#include <sched.h>

#include "futex.h"
#include "guard.h"

/* A lost wake (its sender died before it) costs one slice, and so does a dead owner. */
enum { SLICE_NS = 10000000 };

void pyipc_guard_wake(uint32_t *guard)
{
	futex_wake(guard, 1);
}

static int take(uint32_t *guard, uint32_t expected, uint32_t id)
{
	return __atomic_compare_exchange_n(guard, &expected, id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* There may be others who wait for it. */
static int take_from_the_dead(uint32_t *guard, const struct pyipc_member *me, uint32_t seen)
{
	return !pyipc_roster_is_alive(me, seen & ~GUARD_WAITERS) && take(guard, seen, me->id | GUARD_WAITERS);
}

/* At once: 1 if it is ours now, and nobody alive had it. */
int pyipc_guard_bury(uint32_t *guard, const struct pyipc_member *me)
{
	uint32_t seen = __atomic_load_n(guard, __ATOMIC_RELAXED);

	return me->id != 0 && (seen & ~GUARD_WAITERS) != 0 && take_from_the_dead(guard, me, seen);
}

/* One sleep.  Who has slept takes the guard as one that has waiters: there may be others, and at
 * worst one wake is for nobody. */
static int sleep_on(uint32_t *guard, const struct pyipc_member *me)
{
	uint32_t seen = __atomic_load_n(guard, __ATOMIC_RELAXED);
	int64_t result;

	if ((seen & ~GUARD_WAITERS) == 0)
		return take(guard, seen, me->id | GUARD_WAITERS) ? 0 : -EAGAIN;
	if (!(seen & GUARD_WAITERS)) {
		if (!__atomic_compare_exchange_n(guard, &seen, seen | GUARD_WAITERS, 0, __ATOMIC_RELAXED,
						 __ATOMIC_RELAXED))
			return -EAGAIN;
		seen |= GUARD_WAITERS;
	}
	result = futex_wait(guard, seen, SLICE_NS);
	/* After a signal too: they may come more often than slices end. */
	if ((result == -ETIMEDOUT || result == -EINTR) && take_from_the_dead(guard, me, seen))
		return GUARD_FROM_THE_DEAD;
	return result == -EINTR ? -EINTR : -EAGAIN;
}

enum { YIELDS = 3 };

/* After this long, Python looks at its signals. */
enum { ROUND_NS = PYIPC_SECOND };

/* Wait for it: 0, or GUARD_FROM_THE_DEAD.  It is held for less than a microsecond as a rule, so look
 * for a while before sleeping, if there is another processor; an owner that was preempted on this one
 * (is_here) wants no look, but the processor.  After the deadline come two more slices, which tell a
 * busy guard from that of somebody who was stopped, or has died. */
int pyipc_guard_lock(uint32_t *guard, const struct pyipc_member *me, int is_here, int64_t deadline_ns)
{
	int64_t start;

	if (me->id == 0)
		return -ENOTCONN;
	for (int i = is_here ? -YIELDS : -me->spins; i < 0; i++) {
		if (is_here)
			(void) sched_yield();
		else
			spin_once();
		if (__atomic_load_n(guard, __ATOMIC_RELAXED) == 0 && guard_try(guard, me))
			return 0;
	}
	start = monotonic_ns();
	for (;;) {
		int result = sleep_on(guard, me);
		int64_t now, late;

		if (result >= 0)
			return result;
		now = monotonic_ns();
		late = now - (deadline_ns > start ? deadline_ns : start);
		/* Signals without end are no reason to wait without end. */
		if (late >= 2 * SLICE_NS || (result == -EINTR && now - 2 * SLICE_NS > deadline_ns))
			return -ETIMEDOUT;
		if (result == -EINTR || now - start >= ROUND_NS)
			return -EINTR;
	}
}
