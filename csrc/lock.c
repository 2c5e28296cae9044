/* SPDX-License-Identifier: MIT
 *
 * lock.c -- a lock whose dead owner is in nobody's way, for whoever holds it long: Lock, RLock.
 *
 * One word, as that of a guard (guard.c).  It is taken by one compare-and-swap, from nobody or from the
 * dead, and given back by one exchange: whoever dies has it, or has it not.  Which thread it is, and how
 * often, is for its process alone to know.
 *
 * Memory order.  Taken with acquire, given back with release: what was done under it is seen under it.
 * (Of the dead: by the kernel's lock on their byte of the roster, which they let go after all they did.)
 * `thread`, `depth` and `recovered` are written by the owner, and read by others only to see that they
 * are not it.
 */
#include <pthread.h>

#include "sync.h"

enum { FEWEST_SPINS = 20 };

static uint32_t *word_of(const struct pyipc_sync *s)
{
	return &sync_of(s)->lock.word;
}

static uint64_t this_thread(void)
{
	return (uint64_t) pthread_self();
}

/* Two threads of a process have one id; and a child of fork(2) is another process, with another id. */
static int is_mine(const struct pyipc_sync *s)
{
	return s->me.id != 0 && (load(word_of(s)) & ~GUARD_WAITERS) == s->me.id
	       && load_long(&s->thread) == this_thread();
}

static int got(struct pyipc_sync *s, int how)
{
	store_long(&s->thread, this_thread());
	store(&s->depth, 1);
	store(&s->recovered, how == GUARD_FROM_THE_DEAD);
	if (how == GUARD_FROM_THE_DEAD)
		note_recovery(s);
	return 0;
}

static int again(struct pyipc_sync *s)
{
	if (!(s->flags & PYIPC_SYNC_RECURSIVE) || !is_mine(s))
		return 0;
	store(&s->depth, load(&s->depth) + 1);
	return 1;
}

static int take(uint32_t *word, uint32_t seen, uint32_t id)
{
	return __atomic_compare_exchange_n(word, &seen, id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* As it is seen now; with *waiters* if there may be others who sleep. */
static int try_once(struct pyipc_sync *s, uint32_t waiters, int from_the_dead)
{
	uint32_t seen = load(word_of(s));
	uint32_t owner = seen & ~GUARD_WAITERS;

	if (owner == 0)
		return take(word_of(s), seen, s->me.id | waiters | (seen & GUARD_WAITERS)) ? got(s, 0) : -EAGAIN;
	if (pyipc_roster_is_alive(&s->me, owner))
		return -EAGAIN;
	if (!from_the_dead)
		return -EOWNERDEAD;
	return take(word_of(s), seen, s->me.id | GUARD_WAITERS) ? got(s, GUARD_FROM_THE_DEAD) : -EAGAIN;
}

/* At once: -EAGAIN if somebody has it; if that one has died, it is ours, or, of a strict lock, -EOWNERDEAD. */
int pyipc_now_lock_try(struct pyipc_sync *s)
{
	if (guard_try(word_of(s), &s->me))
		return got(s, 0);
	if (s->me.id == 0)
		return -ENOTCONN;
	if (again(s))
		return 0;
	return try_once(s, 0, !(s->flags & PYIPC_SYNC_STRICT));
}

/* Look for a while before sleeping, longer where that has helped.  (With one processor, spins is 0.) */
static int spin(struct pyipc_sync *s)
{
	int32_t spins = __atomic_load_n(&s->spins, __ATOMIC_RELAXED);

	for (int32_t i = 0; i < spins; i++) {
		if (load(word_of(s)) == 0 && guard_try(word_of(s), &s->me)) {
			int32_t more = 2 * i + FEWEST_SPINS > spins ? 2 * i + FEWEST_SPINS : spins;

			__atomic_store_n(&s->spins, more < s->me.spins ? more : s->me.spins, __ATOMIC_RELAXED);
			return got(s, 0);
		}
		spin_once();
	}
	if (spins > FEWEST_SPINS)
		__atomic_store_n(&s->spins, spins - spins / 8 - 1, __ATOMIC_RELAXED);
	return -EAGAIN;
}

/* Whoever has slept takes the lock as one that has waiters: there may be others, and at worst one wake
 * is for nobody. */
static int acquire(struct pyipc_sync *s, int from_the_dead, int64_t since_ns, int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);
	uint32_t *word = word_of(s);
	uint32_t waiters = 0;
	int result = spin(s);

	while (result == -EAGAIN && (result = try_once(s, waiters, from_the_dead)) == -EAGAIN) {
		uint32_t seen = load(word) & ~GUARD_WAITERS;
		uint32_t expected = seen;

		/* If it has changed since, the kernel sees that too, and there is no sleep. */
		(void) __atomic_compare_exchange_n(word, &expected, seen | GUARD_WAITERS, 0, __ATOMIC_RELAXED,
						   __ATOMIC_RELAXED);
		waiters = GUARD_WAITERS;
		result = sleep_a_slice(word, seen | GUARD_WAITERS, &p);
		if (result == 0)
			result = -EAGAIN;
	}
	return result;
}

/* Wait for it: 0, or -EOWNERDEAD of a strict lock. */
int pyipc_lock_acquire(struct pyipc_sync *s, int32_t *ret_taken, int64_t since_ns, int64_t deadline_ns)
{
	int result = s->me.id == 0 ? -ENOTCONN : 0;

	if (result == 0 && !again(s))
		result = acquire(s, !(s->flags & PYIPC_SYNC_STRICT), since_ns, deadline_ns);
	if (result == 0)
		*ret_taken = 1;
	return result;
}

/* The same, from the dead too, whether it is strict or not. */
int pyipc_lock_recover(struct pyipc_sync *s, int32_t *ret_taken, int64_t since_ns, int64_t deadline_ns)
{
	int result = s->me.id == 0 ? -ENOTCONN : acquire(s, 1, since_ns, deadline_ns);

	if (result == 0)
		*ret_taken = 1;
	return result;
}

/* -EPERM if nobody has it; of a recursive one, if another thread has. */
int pyipc_now_lock_release(struct pyipc_sync *s)
{
	uint32_t before;

	if (s->flags & PYIPC_SYNC_RECURSIVE) {
		uint32_t depth = load(&s->depth);

		if (!is_mine(s))
			return -EPERM;
		store(&s->depth, depth - 1);
		if (depth > 1)
			return 0;
	}
	store_long(&s->thread, 0);	/* first: the next owner's id may be the same */
	before = __atomic_exchange_n(word_of(s), 0, __ATOMIC_RELEASE);
	if (before & GUARD_WAITERS)
		pyipc_guard_wake(word_of(s));
	return (before & ~GUARD_WAITERS) == 0 ? -EPERM : 0;
}

/* How often this thread has it. */
int pyipc_now_lock_depth(const struct pyipc_sync *s)
{
	return is_mine(s) ? (int) load(&s->depth) : 0;
}

/* The owner has it from one who died. */
int pyipc_now_lock_recovered(const struct pyipc_sync *s)
{
	return s->me.id != 0 && (load(word_of(s)) & ~GUARD_WAITERS) == s->me.id && load(&s->recovered);
}

/* Whether somebody has it, dead or alive. */
int pyipc_now_lock_held(const struct pyipc_sync *s)
{
	return (load(word_of(s)) & ~GUARD_WAITERS) != 0;
}
