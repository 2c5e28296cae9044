/* SPDX-License-Identifier: MIT
 *
 * channel_sides.h -- what both ways to pass a message, by a slot and by an extent, do alike.
 */
#ifndef PYIPC_CHANNEL_SIDES_H
#define PYIPC_CHANNEL_SIDES_H

#include <sched.h>

#include "channel_layout.h"

/* A sleeper that nobody wakes (its tokens were stolen) sleeps this long; the shortest span at which it
 * costs next to nothing. */
enum { NET_NS = PYIPC_SECOND };

/* Of figures that threads of a process share. */
static inline void count_one(uint64_t *figure)
{
	(void) __atomic_fetch_add(figure, 1, __ATOMIC_RELAXED);
}

/* Three nanoseconds, and a few milliseconds behind. */
static inline int64_t coarse_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t) now.tv_sec * PYIPC_SECOND + now.tv_nsec;
}

static inline uint64_t count_of(const struct side *side)
{
	return __atomic_load_n(&side->count, __ATOMIC_ACQUIRE);
}

static inline void commit(struct side *side, uint64_t count)
{
	__atomic_store_n(&side->count, count, __ATOMIC_RELEASE);
}

static inline uint32_t this_processor(void)
{
	return (uint32_t) sched_getcpu();
}

static inline int ran_here(const uint32_t *processor)
{
	return __atomic_load_n(processor, __ATOMIC_RELAXED) == this_processor();
}

static inline void note_processor(uint32_t *processor)
{
	if (!ran_here(processor))
		__atomic_store_n(processor, this_processor(), __ATOMIC_RELAXED);
}

/* Acquire: what its owner before has read or written there comes before what the next one writes. */
static inline uint32_t owner_of_extent(const struct pyipc_channel *c, uint32_t extent)
{
	return __atomic_load_n(&of(c)->owners[extent], __ATOMIC_ACQUIRE);
}

/* Without waiting.  To ask whether an owner lives takes less than a microsecond. */
static inline int try_lock(struct pyipc_channel *c, uint32_t *guard)
{
	if (guard_try(guard, &c->me))
		return 0;
	if (c->me.id == 0)
		return -ENOTCONN;
	if (!pyipc_guard_bury(guard, &c->me))
		return -EAGAIN;
	count_one(&c->recoveries);
	return 0;
}

static inline int lock(struct pyipc_channel *c, uint32_t *guard, const uint32_t *processor, int64_t deadline_ns)
{
	int result = guard_try(guard, &c->me) ? 0
		     : pyipc_guard_lock(guard, &c->me, ran_here(processor), deadline_ns);

	if (result == GUARD_FROM_THE_DEAD)
		count_one(&c->recoveries);
	return result < 0 ? result : 0;
}

static inline int lock_side(struct pyipc_channel *c, struct side *side, int64_t deadline_ns)
{
	return lock(c, &side->guard, &side->processor, deadline_ns);
}

/* ---- channel.c: what there is room for, and what waits; that there is more ---- */

int64_t pyipc_channel_room_at(struct pyipc_channel *c, uint64_t count, uint32_t wanted);
int pyipc_channel_announce(struct pyipc_channel *c, uint64_t count);
int64_t pyipc_channel_waiting_at(struct pyipc_channel *c, uint64_t count, uint32_t wanted);

/* ---- channel_waits.c ---- */

int pyipc_channel_token(struct side *side, int pipe);
int pyipc_channel_nobody_receives(struct pyipc_channel *c);
int pyipc_channel_ready(const struct pyipc_channel *c, int for_data);
int pyipc_channel_has_come_back(struct pyipc_channel *c);
int pyipc_channel_wait(struct pyipc_channel *c, int for_data, int64_t deadline_ns, int64_t *net);

#endif
