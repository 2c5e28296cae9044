/* SPDX-License-Identifier: MIT
 *
 * guard.c -- a roster of who shares a piece of memory, and a lock whose dead owner is in nobody's way.
 *
 * A pid is no name for an owner: it means something else in another namespace, and another process
 * later.  So whoever takes part holds, through an open file description of its own, a lock on one byte
 * of the file (fcntl(2), F_OFD_SETLK); the byte's number is its slot.  The kernel frees the lock when
 * the last descriptor of that description goes, at whatever instruction its process dies.
 *
 * All here is read from memory that others write: each word is read once, and nothing that it says is
 * an index before it was checked.
 */
#define _GNU_SOURCE		/* F_OFD_SETLK, syscall() */
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36		/* Linux 3.15, the same on every machine */
#define F_OFD_SETLK 37
#endif

static struct flock byte_of(uint32_t slot, int type)
{
	return (struct flock){ .l_type = (short) type, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };
}

static uint32_t generation_of(const struct roster *roster, uint32_t slot)
{
	return __atomic_load_n(&roster->generation[slot], __ATOMIC_ACQUIRE) & (MOST_GENERATIONS - 1);
}

/* The first free slot.  Between the lock and the new generation, whatever the last holder of the slot
 * has left locked passes for being held by the living; a death in between frees the lock. */
int pyipc_roster_join(struct pyipc_member *me, char *roster_memory, int32_t life)
{
	struct roster *roster = (struct roster *) roster_memory;

	for (uint32_t slot = 0; slot < ROSTER_SLOTS; slot++) {
		struct flock lock = byte_of(slot, F_WRLCK);
		uint32_t generation;

		if (fcntl(life, F_OFD_SETLK, &lock) == -1) {
			if (errno == EAGAIN || errno == EACCES)
				continue;
			return -errno;
		}
		generation = (generation_of(roster, slot) + 1) & (MOST_GENERATIONS - 1);
		/* Release, for whoever finds the id in a guard and asks the roster. */
		__atomic_store_n(&roster->generation[slot], generation, __ATOMIC_RELEASE);
		me->roster = roster_memory;
		me->life = life;
		me->id = (slot + 1) | generation << SLOT_BITS;
		return 0;
	}
	return -ENOSPC;
}

/* Our own lock stands in nobody's way who asks through our description: so we are asked first. */
int pyipc_roster_is_alive(const struct pyipc_member *me, uint32_t id)
{
	uint32_t slot = (id & ROSTER_SLOTS) - 1;
	struct flock lock = byte_of(slot, F_WRLCK);

	if (id == me->id)
		return 1;
	if (slot >= ROSTER_SLOTS || id >> SLOT_BITS != generation_of((struct roster *) me->roster, slot))
		return 0;
	/* That the kernel does not say is no proof of a death. */
	return fcntl(me->life, F_OFD_GETLK, &lock) == -1 || lock.l_type != F_UNLCK;
}

/* ---- the guard ---- */

/* A lost wake (its sender died before it) costs one slice, and so does a dead owner. */
enum { SLICE_NS = 10000000 };

static int64_t futex_wait(uint32_t *word, uint32_t value)
{
	struct timespec span = { .tv_nsec = SLICE_NS };

	return neg_errno(syscall(SYS_futex, word, FUTEX_WAIT, value, &span, NULL, 0));
}

void pyipc_guard_wake(uint32_t *guard)
{
	(void) syscall(SYS_futex, guard, FUTEX_WAKE, 1, NULL, NULL, 0);
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

	return (seen & ~GUARD_WAITERS) != 0 && take_from_the_dead(guard, me, seen);
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
	result = futex_wait(guard, seen);
	/* After a signal too: they may come more often than slices end. */
	if ((result == -ETIMEDOUT || result == -EINTR) && take_from_the_dead(guard, me, seen))
		return GUARD_FROM_THE_DEAD;
	return result == -EINTR ? -EINTR : -EAGAIN;
}

enum { YIELDS = 3 };

/* Wait for it: 0, or GUARD_FROM_THE_DEAD.  It is held for less than a microsecond as a rule, so look
 * for a while before sleeping, if there is another processor; an owner that was preempted on this one
 * (is_here) wants no look, but the processor.  After the deadline come two more slices, which tell a
 * busy guard from that of somebody who was stopped, or has died. */
int pyipc_guard_lock(uint32_t *guard, const struct pyipc_member *me, int is_here, int64_t deadline_ns)
{
	int64_t give_up;

	for (int i = is_here ? -YIELDS : -me->spins; i < 0; i++) {
		if (is_here)
			(void) sched_yield();
		else
			spin_once();
		if (__atomic_load_n(guard, __ATOMIC_RELAXED) == 0 && guard_try(guard, me))
			return 0;
	}
	give_up = monotonic_ns();
	if (deadline_ns > give_up)
		give_up = deadline_ns < INT64_MAX - 2 * SLICE_NS ? deadline_ns : INT64_MAX - 2 * SLICE_NS;
	give_up += 2 * SLICE_NS;
	for (;;) {
		int result = sleep_on(guard, me);

		if (result == -EINTR && monotonic_ns() - 2 * SLICE_NS > deadline_ns)
			return -ETIMEDOUT;	/* signals without end are no reason to wait without end */
		if (result != -EAGAIN)
			return result;
		if (monotonic_ns() >= give_up)
			return -ETIMEDOUT;
	}
}
