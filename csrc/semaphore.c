/* SPDX-License-Identifier: MIT
 *
 * semaphore.c -- a semaphore; what the dead had taken comes back.
 *
 * With undo, each operation commits by one store under the guard: of what a member holds (holdings.c), or
 * of `given`.  The value is what follows from those, and `free` a copy of it, which is written after; so
 * it may be too low, by what the dead held or were about to write, and is never too high.  Whoever finds
 * nothing free makes it anew.  Without undo, `free` is all there is, and the one store is of that.
 *
 * A release by who holds nothing gives back what another holds, if any does: a permit that one process
 * takes and another gives is one permit.
 *
 * Memory order.  All under the guard, which orders it.  `wakes` is read by the kernel as well.
 */
#include "sync.h"

static struct semaphore_words *words_of(const struct pyipc_sync *s)
{
	return &sync_of(s)->semaphore;
}

static int64_t free_of(const struct pyipc_sync *s)
{
	return __atomic_load_n(&words_of(s)->free, __ATOMIC_RELAXED);
}

static void set_free(const struct pyipc_sync *s, int64_t value)
{
	__atomic_store_n(&words_of(s)->free, value, __ATOMIC_RELAXED);
}

static void count_anew(const struct pyipc_sync *s)
{
	if (s->flags & PYIPC_SYNC_UNDO)
		set_free(s, (int64_t) (s->value + load_long(&words_of(s)->given) - holdings_of_the_living(s)));
}

/* ---- under the guard ---- */

/* One sleeper wakes, and says itself that there may be more of them.  If it dies first, they wake by
 * their slices. */
static void leave(struct pyipc_sync *s, int wakes_one)
{
	struct semaphore_words *w = words_of(s);

	if (wakes_one) {
		store(&w->sleepers, 0);
		store(&w->wakes, load(&w->wakes) + 1);
	}
	sync_unlock(s);
	if (wakes_one)
		wake(&w->wakes, 1);
}

static int take(struct pyipc_sync *s)
{
	if (free_of(s) <= 0)
		count_anew(s);
	if (free_of(s) <= 0)
		return -EAGAIN;
	if (s->flags & PYIPC_SYNC_UNDO)
		holdings_set_mine(s, holdings_mine(s) + 1);
	set_free(s, free_of(s) - 1);
	return 0;
}

static void give_with_undo(struct pyipc_sync *s)
{
	uint32_t mine = holdings_mine(s);

	if (mine > 0)
		holdings_set_mine(s, mine - 1);
	else if (!holdings_take_from_another(s))
		store_long(&words_of(s)->given, load_long(&words_of(s)->given) + 1);
}

static int give(struct pyipc_sync *s)
{
	if ((s->flags & PYIPC_SYNC_UNDO) && holdings_mine(s) == 0)
		count_anew(s);	/* perhaps what we give has come back from the dead */
	if (free_of(s) >= (s->flags & PYIPC_SYNC_BOUNDED ? (int64_t) s->value : INT32_MAX))
		return -EOVERFLOW;
	if (s->flags & PYIPC_SYNC_UNDO)
		give_with_undo(s);
	set_free(s, free_of(s) + 1);
	return 0;
}

/* ---- the calls ---- */

/* At once; -EBUSY if others are just at it. */
int pyipc_now_semaphore_try(struct pyipc_sync *s)
{
	int result = sync_try(s);

	if (result < 0)
		return result;
	result = take(s);
	leave(s, 0);
	return result;
}

/* -EOVERFLOW if there can be no more of them. */
static int release(struct pyipc_sync *s, int result)
{
	if (result < 0)
		return result;
	result = give(s);
	leave(s, result == 0 && load(&words_of(s)->sleepers));
	return result;
}

int pyipc_now_semaphore_release(struct pyipc_sync *s)
{
	return release(s, sync_try(s));
}

int pyipc_semaphore_release(struct pyipc_sync *s, int64_t deadline_ns)
{
	return release(s, sync_lock(s, deadline_ns));
}

/* Look for a while first: one may be given back in a moment. */
static void spin(const struct pyipc_sync *s)
{
	for (int32_t i = 0; i < s->me.spins && free_of(s) <= 0; i++)
		spin_once();
}

/* Wait for one.  The wake that a sleeper has had was perhaps for several permits, so it passes it on. */
int pyipc_semaphore_acquire(struct pyipc_sync *s, int32_t *ret_taken, int64_t since_ns, int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);
	struct semaphore_words *w = words_of(s);
	int result, has_slept = 0;

	spin(s);
	while ((result = sync_lock(s, deadline_ns)) == 0) {
		uint32_t seen = load(&w->wakes);

		result = take(s);
		if (has_slept || result < 0)
			store(&w->sleepers, 1);
		leave(s, has_slept && result == 0 && free_of(s) > 0);
		if (result == 0) {
			*ret_taken = 1;
			return 0;
		}
		result = sleep_a_slice(&w->wakes, seen, &p);
		if (result < 0)
			break;
		has_slept = 1;
	}
	return result;
}

/* How many can be taken now.  (Less than 0 is what only a hostile peer can make of it.) */
int64_t pyipc_semaphore_value(struct pyipc_sync *s, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);
	int64_t value;

	if (result < 0)
		return result;
	count_anew(s);
	value = free_of(s);
	leave(s, 0);
	return value < 0 ? 0 : value;
}
