/* SPDX-License-Identifier: MIT
 *
 * condition.c -- who waits for a notify, and whom it reaches.
 *
 * A table of those who wait, under a guard; each sleeps on a word of its own.  An entry is there with the
 * store of its owner, and reached with the store of `notified`.  So a notify reaches exactly as many as it
 * should, those who have waited longest; it passes over the dead, whose places are taken by others.
 *
 * Memory order.  `notified` is stored with release and loaded with acquire, so that a wait needs no guard
 * to end; all else is under the guard.
 */
#include "sync.h"

static struct condition_words *words_of(const struct pyipc_sync *s)
{
	return &sync_of(s)->condition;
}

static struct waiter *waiter_of(const struct pyipc_sync *s, uint32_t place)
{
	return &sync_of(s)->waiters[place];
}

static int is_notified(const struct waiter *waiter)
{
	return __atomic_load_n(&waiter->notified, __ATOMIC_ACQUIRE) != 0;
}

/* No place from here on was ever taken. */
static uint32_t places_used(const struct pyipc_sync *s)
{
	uint32_t used = load(&words_of(s)->places_used);

	return used < WAITERS_MOST ? used : WAITERS_MOST;
}

/* The first free place, or else that of one who died; -1 if all of them wait. */
static int free_place(const struct pyipc_sync *s)
{
	for (uint32_t place = 0; place < WAITERS_MOST; place++)
		if (load(&waiter_of(s, place)->owner) == 0)
			return (int) place;
	for (uint32_t place = 0; place < WAITERS_MOST; place++)
		if (!pyipc_roster_is_alive(&s->me, load(&waiter_of(s, place)->owner)))
			return (int) place;
	return -1;
}

/* Be one who waits, at a place that is the caller's until it gives it up.  -ENOSPC if all are taken. */
int pyipc_condition_enlist(struct pyipc_sync *s, int32_t *ret_place, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);
	struct waiter *waiter;

	if (result < 0)
		return result;
	result = free_place(s);
	if (result >= 0) {
		if ((uint32_t) result >= places_used(s))
			store(&words_of(s)->places_used, (uint32_t) result + 1);
		waiter = waiter_of(s, (uint32_t) result);
		store(&waiter->owner, 0);	/* a notify of before is nobody's */
		store(&waiter->notified, 0);
		store_long(&waiter->ticket, load_long(&words_of(s)->tickets));
		store_long(&words_of(s)->tickets, load_long(&words_of(s)->tickets) + 1);
		store(&waiter->owner, s->me.id);
		*ret_place = result;
	}
	sync_unlock(s);
	return result < 0 ? -ENOSPC : 0;
}

static int is_ours(const struct pyipc_sync *s, int32_t place)
{
	return place >= 0 && place < WAITERS_MOST && load(&waiter_of(s, (uint32_t) place)->owner) == s->me.id;
}

static void give_up(struct pyipc_sync *s, int32_t *place)
{
	store(&waiter_of(s, (uint32_t) *place)->owner, 0);
	*place = -1;
}

/* 0: it was notified, and the place is given up. */
int pyipc_condition_sleep(struct pyipc_sync *s, int32_t *place, int64_t since_ns, int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);
	struct waiter *waiter;

	if (s->me.id == 0 || !is_ours(s, *place))
		return s->me.id == 0 ? -ENOTCONN : -ESTALE;	/* a forked child does not wait */
	waiter = waiter_of(s, (uint32_t) *place);
	while (!is_notified(waiter)) {
		int result = sleep_a_slice(&waiter->notified, 0, &p);

		if (result < 0)
			return result;
	}
	give_up(s, place);
	return 0;
}

/* Give it up, if there is one: 1 if it was notified after all. */
int pyipc_condition_delist(struct pyipc_sync *s, int32_t *place, int64_t deadline_ns)
{
	int result;

	if (s->me.id == 0 || !is_ours(s, *place))
		return 0;
	result = sync_lock(s, deadline_ns);
	if (result < 0)
		return result;
	result = is_notified(waiter_of(s, (uint32_t) *place));
	give_up(s, place);
	sync_unlock(s);
	return result;
}

/* Of those who wait, and live, who has done so longest; NULL if there is none.  Places of the dead are
 * free from now on. */
static struct waiter *first_of(const struct pyipc_sync *s)
{
	struct waiter *first = NULL;

	for (uint32_t place = 0; place < places_used(s); place++) {
		struct waiter *waiter = waiter_of(s, place);

		if (load(&waiter->owner) != 0 && !is_notified(waiter)
		    && (!first || load_long(&waiter->ticket) < load_long(&first->ticket)))
			first = waiter;
	}
	return first;
}

static struct waiter *next_in_turn(const struct pyipc_sync *s)
{
	for (int deaths = 0; deaths < WAITERS_MOST; deaths++) {
		struct waiter *first = first_of(s);

		if (!first || pyipc_roster_is_alive(&s->me, load(&first->owner)))
			return first;
		store(&first->owner, 0);
	}
	return NULL;
}

/* Wake so many, at the most: how many that were. */
int pyipc_condition_notify(struct pyipc_sync *s, uint32_t most, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);
	uint32_t count = 0;

	if (result < 0)
		return result;
	for (; count < most && count < WAITERS_MOST; count++) {
		struct waiter *waiter = next_in_turn(s);

		if (!waiter)
			break;
		__atomic_store_n(&waiter->notified, 1, __ATOMIC_RELEASE);
		wake(&waiter->notified, 1);
	}
	sync_unlock(s);
	return (int) count;
}
