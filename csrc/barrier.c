/* SPDX-License-Identifier: MIT
 *
 * barrier.c -- a barrier: all go on when the last has come.
 *
 * Under a guard.  Who has arrived is there with one store: of the generation of the barrier, and its id.
 * Each generation ends by one store of `state`, which says how: passed, or broken; so those who wait read
 * it there, however late they wake, and nobody has to wait until they have gone.  A barrier has as many
 * places as parties; those of the dead, and of generations before, are free.
 *
 * The last to come may have an action to run: that it does so, it says by its id.  If it dies at that, the
 * barrier is broken.
 *
 * Memory order.  `state` is stored with release and loaded with acquire: what was done before the barrier
 * is seen behind it.  All else is under the guard.
 */
#include "sync.h"

enum { BROKEN = 1, LAST_BROKE = 2, REMEMBERED = 31 };

static struct barrier_words *words_of(const struct pyipc_sync *s)
{
	return &sync_of(s)->barrier;
}

static uint64_t state_of(const struct pyipc_sync *s)
{
	return __atomic_load_n(&words_of(s)->state, __ATOMIC_ACQUIRE);
}

static uint32_t generation_of(const struct pyipc_sync *s)
{
	return (uint32_t) (state_of(s) >> 32);
}

static int is_broken(const struct pyipc_sync *s)
{
	return (state_of(s) & BROKEN) != 0;
}

static uint32_t *place_to_sleep(const struct pyipc_sync *s)
{
	return (uint32_t *) &words_of(s)->state + 1;	/* all machines here are little-endian */
}

/* The end of a generation, and the guard with it. */
static void end(struct pyipc_sync *s, int broke, int stays_broken)
{
	uint64_t state = state_of(s);
	uint32_t past = (uint32_t) state & ~(uint32_t) BROKEN;

	past = past << 1 | (broke ? LAST_BROKE : 0) | (stays_broken ? BROKEN : 0);
	store(&words_of(s)->actor, 0);
	__atomic_store_n(&words_of(s)->state, ((state >> 32) + 1) << 32 | past, __ATOMIC_RELEASE);
	sync_unlock(s);
	wake(place_to_sleep(s), EVERYBODY);
}

/* ---- who has arrived ---- */

static uint64_t *arrival_of(const struct pyipc_sync *s, uint32_t place)
{
	return &sync_of(s)->arrivals[place];
}

static uint64_t ours(const struct pyipc_sync *s, uint32_t generation)
{
	return (uint64_t) generation << 32 | s->me.id;
}

static int is_taken(const struct pyipc_sync *s, uint32_t place, uint32_t generation)
{
	uint64_t arrival = load_long(arrival_of(s, place));

	return arrival >> 32 == generation && (uint32_t) arrival != 0;
}

static int is_taken_by_the_living(const struct pyipc_sync *s, uint32_t place, uint32_t generation)
{
	return is_taken(s, place, generation)
	       && pyipc_roster_is_alive(&s->me, (uint32_t) load_long(arrival_of(s, place)));
}

/* Where one can arrive, and whether it is the last that was free: then, and only then, it is asked of
 * the others whether they live. */
static int free_place(const struct pyipc_sync *s, uint32_t generation, int *ret_last)
{
	uint32_t count = 0;
	int place = -1;

	for (uint32_t i = 0; i < s->value; i++) {
		if (is_taken(s, i, generation))
			count++;
		else if (place < 0)
			place = (int) i;
	}
	*ret_last = 0;
	if (count + 1 < s->value)
		return place;
	for (uint32_t i = 0; i < s->value; i++)
		if (is_taken(s, i, generation) && !is_taken_by_the_living(s, i, generation)) {
			store_long(arrival_of(s, i), 0);
			count--;
			place = place < 0 ? (int) i : place;
		}
	*ret_last = count + 1 == s->value;
	return place;
}

/* ---- the calls ---- */

static int arrive(struct pyipc_sync *s, int acts, struct pyipc_arrival *ret_arrival)
{
	uint32_t generation = generation_of(s);
	int last, place = free_place(s, generation, &last);

	if (place < 0)
		return -EAGAIN;
	ret_arrival->generation = generation;
	ret_arrival->place = place;
	ret_arrival->acts = last && acts;
	ret_arrival->passed = last && !acts;
	if (ret_arrival->passed) {
		end(s, 0, 0);
		return 0;
	}
	if (last)
		store(&words_of(s)->actor, s->me.id);
	store_long(arrival_of(s, (uint32_t) place), ours(s, generation));
	sync_unlock(s);
	return 0;
}

/* Come to the barrier: -ECANCELED if it is broken.  Who finds it full waits for the next generation. */
int pyipc_barrier_arrive(struct pyipc_sync *s, int acts, struct pyipc_arrival *ret_arrival, int64_t since_ns,
			 int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);
	int result;

	while ((result = sync_lock(s, deadline_ns)) == 0) {
		uint32_t generation = generation_of(s);
		uint32_t actor = load(&words_of(s)->actor);

		if (is_broken(s)) {
			sync_unlock(s);
			return -ECANCELED;
		}
		if (actor != 0 && !pyipc_roster_is_alive(&s->me, actor)) {
			end(s, 1, 1);
			return -ECANCELED;
		}
		result = actor != 0 ? -EAGAIN : arrive(s, acts, ret_arrival);
		if (result == 0)
			return 0;
		sync_unlock(s);
		result = sleep_a_slice(place_to_sleep(s), generation, &p);
		if (result < 0)
			break;
	}
	return result;
}

/* How a generation ended. */
static int outcome_of(uint64_t state, uint32_t generation)
{
	uint32_t later = (uint32_t) (state >> 32) - generation;

	if (later > REMEMBERED || ((uint32_t) state >> later) & 1)
		return -ECANCELED;
	return 0;
}

/* If who runs the action has died, the barrier breaks. */
static int look_at_the_actor(struct pyipc_sync *s, uint32_t generation, int64_t deadline_ns)
{
	uint32_t actor = load(&words_of(s)->actor);
	int result;

	if (actor == 0 || pyipc_roster_is_alive(&s->me, actor))
		return 0;
	result = sync_lock(s, deadline_ns);
	if (result < 0)
		return result;
	if (generation_of(s) == generation && load(&words_of(s)->actor) == actor)
		end(s, 1, 1);
	else
		sync_unlock(s);
	return 0;
}

/* Wait for the others: 0, or -ECANCELED if the barrier breaks. */
int pyipc_barrier_wait(struct pyipc_sync *s, uint32_t generation, int64_t since_ns, int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);

	if (s->me.id == 0)
		return -ENOTCONN;
	while (generation_of(s) == generation) {
		int result = look_at_the_actor(s, generation, deadline_ns);

		if (result == 0)
			result = sleep_a_slice(place_to_sleep(s), generation, &p);
		if (result < 0)
			return result;
	}
	return outcome_of(state_of(s), generation);
}

/* The action was run, well or not; 0, or -ECANCELED if the barrier was broken meanwhile. */
int pyipc_barrier_acted(struct pyipc_sync *s, uint32_t generation, int well, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);

	if (result < 0)
		return result;
	if (generation_of(s) == generation) {
		end(s, !well, !well);
		return well ? 0 : -ECANCELED;
	}
	sync_unlock(s);
	return outcome_of(state_of(s), generation);
}

/* Go away before all have come: 0, or 1 if they had. */
int pyipc_barrier_leave(struct pyipc_sync *s, const struct pyipc_arrival *arrival, int64_t deadline_ns)
{
	uint32_t place = (uint32_t) arrival->place;
	int result = sync_lock(s, deadline_ns);

	if (result < 0)
		return result;
	result = generation_of(s) != arrival->generation;
	if (!result && place < s->value && load_long(arrival_of(s, place)) == ours(s, arrival->generation))
		store_long(arrival_of(s, place), 0);
	sync_unlock(s);
	return result;
}

/* All who wait learn that it is broken, and so does whoever comes. */
int pyipc_barrier_abort(struct pyipc_sync *s, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);

	if (result == 0)
		end(s, 1, 1);
	return result;
}

/* All who wait learn that it is broken; for whoever comes, it is as new. */
int pyipc_barrier_reset(struct pyipc_sync *s, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);

	if (result == 0)
		end(s, 1, 0);
	return result;
}

int pyipc_now_barrier_broken(const struct pyipc_sync *s)
{
	return is_broken(s);
}

/* How many wait, and live. */
int pyipc_barrier_waiting(struct pyipc_sync *s, int64_t deadline_ns)
{
	int result = sync_lock(s, deadline_ns);

	if (result < 0)
		return result;
	for (uint32_t i = 0; i < s->value; i++)
		result += is_taken_by_the_living(s, i, generation_of(s));
	sync_unlock(s);
	return result;
}
