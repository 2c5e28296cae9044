/* SPDX-License-Identifier: MIT
 *
 * rwlock.c -- many readers, or one writer; none of them blocks others by dying.
 *
 * Under a guard.  A writer is there with the store of its id, a reader with the store of what it holds
 * (holdings.c).  `readers` is a copy of the sum of those, written before a reader comes and after one goes:
 * it may be too high, by who has died, and is made anew when it stands in somebody's way.  A writer that waits says so, and as long as it lives and waits, nobody
 * begins to read.
 *
 * Whoever lets the last go wakes all who sleep: so one that is woken and dies takes nothing away.
 *
 * Memory order.  All under the guard, which orders it, but for a writer that gives up: it takes back what it
 * said, then changes `wakes` with release; who is about to sleep reads `wakes` with acquire, then the rest.
 */
#include "sync.h"

static struct rwlock_words *words_of(const struct pyipc_sync *s)
{
	return &sync_of(s)->rwlock;
}

static void count_anew(const struct pyipc_sync *s)
{
	store_long(&words_of(s)->readers, holdings_of_the_living(s));
}

/* ---- under the guard ---- */

static void leave(struct pyipc_sync *s, int wakes_all)
{
	struct rwlock_words *w = words_of(s);

	wakes_all = wakes_all && load(&w->sleepers);
	if (wakes_all) {
		store(&w->sleepers, 0);
		(void) __atomic_fetch_add(&w->wakes, 1, __ATOMIC_RELEASE);
	}
	sync_unlock(s);
	if (wakes_all)
		wake(&w->wakes, EVERYBODY);
}

static int is_alive(const struct pyipc_sync *s, uint32_t id)
{
	return id != 0 && pyipc_roster_is_alive(&s->me, id);
}

static int got(struct pyipc_sync *s, int from_the_dead)
{
	store(&s->recovered, (uint32_t) from_the_dead);
	if (from_the_dead)
		note_recovery(s);
	return 0;
}

/* In this order: who dies in between leaves the dead writer, and with it the word that one has died. */
static int take_for_reading(struct pyipc_sync *s)
{
	struct rwlock_words *w = words_of(s);
	uint32_t writer = load(&w->writer), wants = load(&w->wants);

	if (is_alive(s, writer) || is_alive(s, wants))
		return -EAGAIN;
	store_long(&w->readers, load_long(&w->readers) + 1);
	holdings_set_mine(s, holdings_mine(s) + 1);
	store(&w->writer, 0);
	return got(s, writer != 0);
}

static int take_for_writing(struct pyipc_sync *s)
{
	struct rwlock_words *w = words_of(s);
	uint32_t writer = load(&w->writer);

	if (load_long(&w->readers) != 0)
		count_anew(s);
	if (load_long(&w->readers) != 0 || is_alive(s, writer))
		return -EAGAIN;
	store(&w->writer, s->me.id);
	return got(s, writer != 0);
}

static int take(struct pyipc_sync *s, int write)
{
	return write ? take_for_writing(s) : take_for_reading(s);
}

static int give(struct pyipc_sync *s, int write)
{
	struct rwlock_words *w = words_of(s);
	uint32_t mine = holdings_mine(s);

	if (write ? load(&w->writer) != s->me.id : mine == 0)
		return -EPERM;
	store(&s->recovered, 0);
	if (write) {
		store(&w->writer, 0);
		return 0;
	}
	holdings_set_mine(s, mine - 1);
	store_long(&w->readers, load_long(&w->readers) - 1);
	if (load_long(&w->readers) != 0 && load(&w->sleepers))
		count_anew(s);	/* perhaps only the dead are left */
	return 0;
}

/* ---- the calls ---- */

static int release(struct pyipc_sync *s, int write, int result)
{
	if (result < 0)
		return result;
	result = give(s, write);
	leave(s, result == 0 && (write || load_long(&words_of(s)->readers) == 0));
	return result;
}

/* -EPERM of what this process does not hold. */
int pyipc_now_rwlock_release(struct pyipc_sync *s, int write)
{
	return release(s, write, sync_try(s));
}

int pyipc_rwlock_release(struct pyipc_sync *s, int write, int64_t deadline_ns)
{
	return release(s, write, sync_lock(s, deadline_ns));
}

/* Of those who wait to write, one says so. */
static void want(struct pyipc_sync *s)
{
	struct rwlock_words *w = words_of(s);

	if (!is_alive(s, load(&w->wants)))
		store(&w->wants, s->me.id);
}

/* Whoever does not wait any more must not say that it does; for in Python, a handler may raise. */
static int want_no_more(struct pyipc_sync *s)
{
	uint32_t expected = s->me.id;

	return __atomic_compare_exchange_n(&words_of(s)->wants, &expected, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static int give_up(struct pyipc_sync *s, int write, int why)
{
	if (write && want_no_more(s)) {
		(void) __atomic_fetch_add(&words_of(s)->wakes, 1, __ATOMIC_RELEASE);
		wake(&words_of(s)->wakes, EVERYBODY);
	}
	return why;
}

int pyipc_rwlock_acquire(struct pyipc_sync *s, int write, int32_t *ret_taken, int64_t since_ns,
			 int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);
	struct rwlock_words *w = words_of(s);
	int result;

	while ((result = sync_lock(s, deadline_ns)) == 0) {
		uint32_t seen = __atomic_load_n(&w->wakes, __ATOMIC_ACQUIRE);

		result = take(s, write);
		if (result < 0)
			store(&w->sleepers, 1);
		if (write && result < 0)
			want(s);
		else if (write)
			(void) want_no_more(s);
		leave(s, 0);
		if (result == 0) {
			*ret_taken = 1;
			return 0;
		}
		result = sleep_a_slice(&w->wakes, seen, &p);
		if (result < 0)
			break;
	}
	return give_up(s, write, result);
}

/* What this process has was that of a writer that died. */
int pyipc_now_rwlock_recovered(const struct pyipc_sync *s)
{
	return (int) load(&s->recovered);
}
